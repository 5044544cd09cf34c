// libpq from C, as most drivers use it: simple, extended and prepared statements, pipeline mode with
// one Sync or many, one row at a time. The list and the tables: see README.md.

#include <libpq-fe.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/select.h>
#include <unistd.h>

static void fail(const char *name, const char *format, ...) {
    va_list values;
    va_start(values, format);
    printf("not ok %s: ", name);
    vprintf(format, values);
    printf("\n");
    exit(1);
}

static void ok(const char *name) { printf("ok %s\n", name); }

static void same(const char *name, const char *actual, const char *expected) {
    if (strcmp(actual, expected) != 0)
        fail(name, "%.300s, expected %.300s", actual, expected);
}

static void equal(const char *name, const char *actual, const char *expected) {
    same(name, actual, expected);
    ok(name);
}

static PGconn *connected(const char *user) {
    // The rest is in the environment.
    char conninfo[100] = "";
    if (user)
        snprintf(conninfo, sizeof conninfo, "user=%s password=secret", user);
    PGconn *db = PQconnectdb(conninfo);
    if (PQstatus(db) != CONNECTION_OK)
        fail("connect", "%s", PQerrorMessage(db));
    return db;
}

// What a result is: its rows as `{1}{2}`, the count of rows that it stored, or its SQLSTATE.
static const char *said(PGresult *result) {
    static char *text;
    free(text);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_TUPLES_OK || status == PGRES_SINGLE_TUPLE) {
        size_t length = 1;
        for (int row = 0; row < PQntuples(result); row++)
            length += (size_t)PQgetlength(result, row, 0) + 2;
        text = calloc(length, 1);
        char *end = text;
        for (int row = 0; row < PQntuples(result); row++)
            end += sprintf(end, "{%s}", PQgetvalue(result, row, 0));
    } else if (status == PGRES_COMMAND_OK) {
        text = strdup(PQcmdTuples(result));
    } else {
        const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
        text = strdup(state ? state : PQresultErrorMessage(result));
    }
    PQclear(result);
    return text;
}

static const char *query(PGconn *db, const char *sql) { return said(PQexec(db, sql)); }

static const char *with(PGconn *db, const char *sql, int id) {
    char text[12];
    snprintf(text, sizeof text, "%d", id);
    const char *values[] = {text};
    return said(PQexecParams(db, sql, 1, NULL, values, NULL, NULL, 0));
}

static const char *insert(PGconn *db, int id) { return with(db, "INSERT INTO events VALUES ($1, 'x')", id); }

// Inserts these, and appends what each said.
static const char *inserts(PGconn *db, const int *ids, size_t count) {
    static char all[200];
    all[0] = 0;
    for (size_t at = 0; at < count; at++)
        strcat(all, insert(db, ids[at]));
    return all;
}

#define INSERTS(db, ...) inserts(db, (int[]){__VA_ARGS__}, sizeof((int[]){__VA_ARGS__}) / sizeof(int))

// In pipeline mode, with a Sync behind every so many: how many rows were stored, or the first error.
static const char *pipeline(PGconn *db, const char *table, const int *ids, int count, int every) {
    static char text[100];
    char sql[100];
    int syncs = 0, stored = 0;
    snprintf(sql, sizeof sql, "INSERT INTO %s VALUES ($1, 'x')", table);
    PQenterPipelineMode(db);
    for (int at = 0; at < count; at++) {
        char id[12];
        snprintf(id, sizeof id, "%d", ids[at]);
        const char *values[] = {id};
        if (!PQsendQueryParams(db, sql, 1, NULL, values, NULL, NULL, 0))
            fail("pipeline", "%s", PQerrorMessage(db));
        if ((at + 1) % every == 0 || at + 1 == count)
            syncs += PQpipelineSync(db);
    }
    text[0] = 0;
    while (syncs > 0) {
        PGresult *result = PQgetResult(db);
        // Behind each statement's result there is none.
        if (!result)
            continue;
        switch (PQresultStatus(result)) {
        case PGRES_PIPELINE_SYNC:
            syncs--;
            PQclear(result);
            break;
        case PGRES_COMMAND_OK:
            stored += atoi(said(result));
            break;
        case PGRES_PIPELINE_ABORTED:
            PQclear(result);
            break;
        default:
            if (!text[0])
                snprintf(text, sizeof text, "%s", said(result));
        }
    }
    if (!PQexitPipelineMode(db))
        fail("pipeline", "%s", PQerrorMessage(db));
    if (!text[0])
        snprintf(text, sizeof text, "%d", stored);
    return text;
}

static void logins(void) {
    const char *users[] = {"trust", "password", "md5", "scram"};
    for (int at = 0; at < 4; at++) {
        char name[50], expected[20];
        snprintf(name, sizeof name, "login, %s%s", users[at], at == 3 ? "-sha-256" : "");
        snprintf(expected, sizeof expected, "{%s}", users[at]);
        PGconn *db = connected(users[at]);
        equal(name, query(db, "SELECT current_user"), expected);
        PQfinish(db);
    }
}

static void singles(PGconn *db) {
    equal("simple insert", query(db, "INSERT INTO events VALUES (1, 'x')"), "1");
    const char *values[][2] = {{"2", "x"}, {"3", "x"}, {"2", "again"}};
    PQclear(PQprepare(db, "insert", "INSERT INTO events VALUES ($1, $2)", 0, NULL));
    for (int at = 0; at < 2; at++)
        same("prepared insert", said(PQexecPrepared(db, "insert", 2, values[at], NULL, NULL, 0)), "1");
    ok("prepared insert");
    same("duplicate in autocommit", query(db, "INSERT INTO events VALUES (1, 'again')"), "0");
    equal("duplicate in autocommit", said(PQexecPrepared(db, "insert", 2, values[2], NULL, NULL, 0)), "0");
    query(db, "BEGIN");
    same("duplicate in a transaction", INSERTS(db, 1, 10, 10, 2, 11), "01001");
    query(db, "COMMIT");
    ok("duplicate in a transaction");

    const char *name = "duplicate with RETURNING", *sql = "INSERT INTO events VALUES ($1, 'x') RETURNING id";
    same(name, with(db, sql, 20), "{20}");
    same(name, with(db, sql, 20), "");
    query(db, "BEGIN");
    same(name, with(db, sql, 21), "{21}");
    same(name, with(db, sql, 21), "");
    same(name, with(db, sql, 1), "");
    query(db, "COMMIT");
    ok(name);
    equal("duplicate among several rows",
          with(db, "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')", 1), "2");
}

static void batches(PGconn *db) {
    int ids[203] = {1}, loads[201];
    for (int at = 0; at < 200; at++) {
        ids[1 + at] = 100 + at;
        loads[at] = 1 + at;
    }
    ids[201] = 2;
    ids[202] = 100;
    loads[200] = 5;
    query(db, "BEGIN");
    same("batch in a transaction", pipeline(db, "events", ids, 203, 203), "200");
    query(db, "COMMIT");
    ok("batch in a transaction");
    query(db, "INSERT INTO loads VALUES (5, 'x')");
    equal("batch in autocommit", pipeline(db, "loads", loads, 201, 201), "199");
}

static void copy(PGconn *db) {
    query(db, "INSERT INTO other VALUES (1)");
    static char lines[60000], copied[60000];
    char *end = lines;
    for (int number = 1; number < 10000; number++)
        end += sprintf(end, "%d\n", number);
    PQclear(PQexec(db, "COPY other FROM STDIN"));
    // All but the first, which is there.
    PQputCopyData(db, lines + 2, (int)strlen(lines) - 2);
    PQputCopyEnd(db, NULL);
    same("COPY", said(PQgetResult(db)), "9998");
    while (PQgetResult(db)) {
    }
    PQclear(PQexec(db, "COPY (SELECT id FROM other ORDER BY id) TO STDOUT"));
    char *line;
    for (end = copied; PQgetCopyData(db, &line, 0) > 0; PQfreemem(line))
        end += sprintf(end, "%s", line);
    same("COPY", said(PQgetResult(db)), "9999");
    PQclear(PQgetResult(db));
    equal("COPY", copied, lines);
}

// Cursors are SQL's.
static void cursor(PGconn *db) {
    query(db, "BEGIN");
    query(db, "DECLARE reader CURSOR FOR SELECT generate_series(1, 100)");
    int read = 0;
    for (;;) {
        PGresult *rows = PQexec(db, "FETCH 10 FROM reader");
        int count = PQntuples(rows);
        for (int row = 0; row < count; row++) {
            if (atoi(PQgetvalue(rows, row, 0)) != ++read)
                fail("cursor", "%s, expected %d", PQgetvalue(rows, row, 0), read);
            if (read % 15 == 0)
                same("cursor", INSERTS(db, 1, 400 + read), "01");
        }
        PQclear(rows);
        if (count == 0)
            break;
    }
    query(db, "COMMIT");
    if (read != 100)
        fail("cursor", "%d rows", read);
    ok("cursor");
}

static void listen_and_cancel(PGconn *db) {
    PGconn *other = connected(NULL);
    query(db, "LISTEN ears");
    query(other, "NOTIFY ears, 'hello'");
    PGnotify *heard;
    while (!(heard = PQnotifies(db))) {
        fd_set sockets;
        FD_ZERO(&sockets);
        FD_SET(PQsocket(db), &sockets);
        if (select(PQsocket(db) + 1, &sockets, NULL, NULL, &(struct timeval){30, 0}) != 1)
            fail("LISTEN", "nothing within 30 seconds");
        PQconsumeInput(db);
    }
    equal("LISTEN", heard->extra, "hello");
    PQfreemem(heard);

    PQsendQuery(db, "SELECT pg_sleep(60)");
    const char *asleep = "SELECT 'asleep' FROM pg_stat_activity"
                         " WHERE wait_event = 'PgSleep' AND datname = current_database()";
    while (strcmp(query(other, asleep), "{asleep}") != 0)
        usleep(5000);
    char why[256];
    PGcancel *cancel = PQgetCancel(db);
    if (!PQcancel(cancel, why, sizeof why))
        fail("cancel", "%s", why);
    PQfreeCancel(cancel);
    same("cancel", said(PQgetResult(db)), "57014");
    PQclear(PQgetResult(db));
    equal("cancel", query(db, "SELECT 1"), "{1}");
    PQfinish(other);
}

static void large(PGconn *db) {
    const char *sql = "INSERT INTO events VALUES (50, $1)";
    size_t length = 5 << 20;
    char *big = calloc(length + 3, 1);
    memset(big, 'v', length);
    same("large value", said(PQexecParams(db, sql, 1, NULL, (const char *[]){big}, NULL, NULL, 0)), "1");
    same("large value", said(PQexecParams(db, sql, 1, NULL, (const char *[]){"again"}, NULL, NULL, 0)), "0");
    memmove(big + 1, big, length);
    big[0] = '{';
    big[length + 1] = '}';
    equal("large value", query(db, "SELECT kind FROM events WHERE id = 50"), big);
    free(big);
}

static void shown(PGconn *db) {
    const char *name = "error shown", *unlisted = "INSERT INTO other VALUES (1)";
    PGresult *result = PQexec(db, unlisted);
    same(name, PQresultErrorField(result, PG_DIAG_CONSTRAINT_NAME), "other_pkey");
    same(name, said(result), "23505");
    query(db, "BEGIN");
    same(name, insert(db, 60), "1");
    same(name, query(db, unlisted), "23505");
    same(name, insert(db, 61), "25P02");
    query(db, "ROLLBACK");
    ok(name);
}

// In pipeline mode without a Sync: each answer is asked for by a Flush, and comes before the next statement.
static const char *flushed(PGconn *db, const int *ids, int count) {
    static char all[100];
    all[0] = 0;
    PQenterPipelineMode(db);
    for (int at = 0; at < count; at++) {
        char id[12];
        snprintf(id, sizeof id, "%d", ids[at]);
        PQsendQueryParams(db, "INSERT INTO events VALUES ($1, 'x')", 1, NULL, (const char *[]){id}, NULL, NULL, 0);
        PQsendFlushRequest(db);
        PQflush(db);
        strcat(all, said(PQgetResult(db)));
        PQclear(PQgetResult(db));
    }
    PQpipelineSync(db);
    PQclear(PQgetResult(db));
    PQexitPipelineMode(db);
    return all;
}

static void own(PGconn *db) {
    query(db, "TRUNCATE events, loads, other");
    insert(db, 1);
    int ids[] = {2, 1, 3};
    // A pipeline with one Sync is one transaction outside BEGIN; a Sync behind each makes many.
    equal("pipeline in autocommit", pipeline(db, "events", ids, 3, 3), "23505");
    equal("nothing of it stored", query(db, "SELECT id FROM events"), "{1}");
    equal("pipeline with a Sync each", pipeline(db, "events", ids, 3, 1), "2");
    query(db, "BEGIN");
    int more[] = {1, 4, 4, 5, 2, 6};
    equal("pipeline with some Syncs in a transaction", pipeline(db, "events", more, 6, 2), "3");
    equal("pipeline with a Flush each in a transaction", flushed(db, (int[]){1, 5, 10, 10, 11}, 5), "00101");
    query(db, "SAVEPOINT own");
    equal("in a savepoint", INSERTS(db, 1, 7, 7), "010");
    query(db, "ROLLBACK TO own");
    equal("behind its rollback", INSERTS(db, 1, 7, 7), "010");
    query(db, "COMMIT");
    equal("stored", query(db, "SELECT count(*) FROM events"), "{9}");

    PQsendQuery(db, "INSERT INTO events VALUES (8, 'x'), (1, 'x'), (9, 'x') RETURNING id");
    PQsetSingleRowMode(db);
    same("one row at a time", said(PQgetResult(db)), "{8}");
    same("one row at a time", said(PQgetResult(db)), "{9}");
    same("one row at a time", said(PQgetResult(db)), "");
    equal("one row at a time", PQgetResult(db) ? "more" : "no more", "no more");
    PQfinish(db);
}

int main(void) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("driver %d.%d\n", PQlibVersion() / 10000, PQlibVersion() % 10000);
    logins();
    PGconn *db = connected(NULL);
    singles(db);
    batches(db);
    copy(db);
    cursor(db);
    listen_and_cancel(db);
    large(db);
    shown(db);
    printf("restart\n");
    if (getchar() == EOF)
        fail("reconnect", "no answer");
    if (strcmp(query(db, "SELECT 1"), "{1}") == 0)
        fail("reconnect", "the session goes on");
    PQreset(db);
    equal("reconnect", INSERTS(db, 1, 70), "01");
    own(db);
}
