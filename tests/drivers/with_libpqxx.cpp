// libpqxx: transactions of each kind, prepared statements, its pipeline, its streams and its cursor.
// The list and the tables: see README.md.

#include <libpq-fe.h>

#include <chrono>
#include <functional>
#include <iostream>
#include <pqxx/pqxx>
#include <sstream>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

using std::string;

static void ok(const string &name) { std::cout << "ok " << name << std::endl; }

template <typename Value> static void same(const string &name, const Value &actual, const Value &expected) {
    if (actual == expected)
        return;
    std::ostringstream text;
    text << actual << ", expected " << expected;
    std::cout << "not ok " << name << ": " << text.str().substr(0, 300) << std::endl;
    exit(1);
}

template <typename Value> static void holds(const string &name, const Value &actual, const Value &expected) {
    same(name, actual, expected);
    ok(name);
}

// The SQLSTATE that it ends with.
static string refused(const std::function<void()> &work) {
    try {
        work();
    } catch (const pqxx::sql_error &error) {
        return error.sqlstate();
    }
    return "no error";
}

// How many rows a statement stored, and those that it returned as `{1}{2}`.
static string said(const pqxx::result &result) {
    if (result.columns() == 0)
        return std::to_string(result.affected_rows());
    string text;
    for (const auto &row : result)
        text += "{" + row[0].as<string>() + "}";
    return text;
}

static string insert(pqxx::transaction_base &with, int id) {
    return said(with.exec_params("INSERT INTO events VALUES ($1, 'x')", id));
}

// What each of these said.
static string inserts(pqxx::transaction_base &with, const std::vector<int> &ids) {
    string all;
    for (int id : ids)
        all += insert(with, id);
    return all;
}

static string returned(pqxx::transaction_base &with, int id) {
    return said(with.exec_params("INSERT INTO events VALUES ($1, 'x') RETURNING id", id));
}

// By its pipeline, which sends what has been gathered as one query of several statements.
static int pipeline(pqxx::transaction_base &with, const string &table, const std::vector<int> &ids) {
    pqxx::pipeline pipe(with);
    pipe.retain(static_cast<int>(ids.size()));
    std::vector<pqxx::pipeline::query_id> sent;
    for (int id : ids)
        sent.push_back(pipe.insert("INSERT INTO " + table + " VALUES (" + std::to_string(id) + ", 'x')"));
    int stored = 0;
    for (auto query : sent)
        stored += static_cast<int>(pipe.retrieve(query).affected_rows());
    return stored;
}

static void logins() {
    for (const string user : {"trust", "password", "md5", "scram"}) {
        pqxx::connection db("user=" + user + " password=secret");
        pqxx::nontransaction with(db);
        holds("login, " + user + (user == "scram" ? "-sha-256" : ""), said(with.exec("SELECT current_user")),
              "{" + user + "}");
    }
}

static void singles(pqxx::connection &db) {
    db.prepare("insert", "INSERT INTO events VALUES ($1, $2)");
    {
        pqxx::nontransaction with(db);
        holds<string>("simple insert", said(with.exec("INSERT INTO events VALUES (1, 'x')")), "1");
        for (int id : {2, 3})
            same<string>("prepared insert", said(with.exec_prepared("insert", id, "x")), "1");
        ok("prepared insert");
        const string name = "duplicate in autocommit";
        same<string>(name, said(with.exec("INSERT INTO events VALUES (1, 'again')")), "0");
        holds<string>(name, said(with.exec_prepared("insert", 2, "again")), "0");
    }
    {
        pqxx::work with(db);
        same<string>("duplicate in a transaction", inserts(with, {1, 10, 10, 2, 11}), "01001");
        with.commit();
        ok("duplicate in a transaction");
    }
    const string name = "duplicate with RETURNING";
    {
        pqxx::nontransaction with(db);
        same<string>(name, returned(with, 20), "{20}");
        same<string>(name, returned(with, 20), "");
    }
    {
        pqxx::work with(db);
        same<string>(name, returned(with, 21) + returned(with, 21) + returned(with, 1), "{21}");
        with.commit();
        ok(name);
    }
    pqxx::nontransaction with(db);
    const string several = "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')";
    holds<string>("duplicate among several rows", said(with.exec_params(several, 1)), "2");
}

static void batches(pqxx::connection &db) {
    std::vector<int> ids = {1}, loads;
    for (int number = 0; number < 200; number++) {
        ids.push_back(100 + number);
        loads.push_back(1 + number);
    }
    ids.insert(ids.end(), {2, 100});
    loads.push_back(5);
    {
        pqxx::work with(db);
        same("batch in a transaction", pipeline(with, "events", ids), 200);
        with.commit();
        ok("batch in a transaction");
    }
    pqxx::nontransaction with(db);
    with.exec("INSERT INTO loads VALUES (5, 'x')");
    holds("batch in autocommit", pipeline(with, "loads", loads), 199);
}

static void copy(pqxx::connection &db) {
    pqxx::work with(db);
    with.exec("INSERT INTO other VALUES (1)");
    pqxx::stream_to in(with, "other");
    for (int number = 2; number < 10000; number++)
        in << std::make_tuple(number);
    in.complete();
    pqxx::stream_from out(with, "other");
    std::tuple<int> row;
    int count = 0;
    while (out >> row)
        same("COPY", std::get<0>(row), ++count);
    out.complete();
    same("COPY", count, 9999);
    with.commit();
    ok("COPY");
}

// A cursor of SQL, by its stream.
static void cursor(pqxx::connection &db) {
    pqxx::work with(db);
    pqxx::icursorstream reader(with, "SELECT generate_series(1, 100)", "reader", 10);
    pqxx::result rows;
    int read = 0;
    while (reader.get(rows)) {
        for (const auto &row : rows) {
            same("cursor", row[0].as<int>(), ++read);
            if (read % 15 == 0)
                same<string>("cursor", inserts(with, {1, 400 + read}), "01");
        }
    }
    same("cursor", read, 100);
    with.commit();
    ok("cursor");
}

struct Ears : pqxx::notification_receiver {
    string heard;
    explicit Ears(pqxx::connection &db) : pqxx::notification_receiver(db, "ears") {}
    void operator()(const string &payload, int) override { heard = payload; }
};

static void listen(pqxx::connection &db) {
    Ears ears(db);
    pqxx::connection other;
    pqxx::nontransaction(other).exec("NOTIFY ears, 'hello'");
    db.await_notification(30, 0);
    holds<string>("LISTEN", ears.heard, "hello");
}

static void cancel(pqxx::connection &db) {
    std::thread canceller([&db] {
        pqxx::connection other;
        pqxx::nontransaction with(other);
        const string asleep = "SELECT 'asleep' FROM pg_stat_activity"
                              " WHERE wait_event = 'PgSleep' AND datname = current_database()";
        while (with.exec(asleep).empty())
            std::this_thread::sleep_for(std::chrono::milliseconds(5));
        db.cancel_query();
    });
    pqxx::nontransaction with(db);
    const string state = refused([&with] { with.exec("SELECT pg_sleep(60)"); });
    canceller.join();
    same<string>("cancel", state, "57014");
    holds<string>("cancel", said(with.exec("SELECT 1")), "{1}");
}

static void large(pqxx::connection &db) {
    pqxx::nontransaction with(db);
    const string big(5 << 20, 'v'), sql = "INSERT INTO events VALUES (50, $1)";
    same<string>("large value", said(with.exec_params(sql, big)), "1");
    same<string>("large value", said(with.exec_params(sql, "again")), "0");
    holds("large value", said(with.exec("SELECT kind FROM events WHERE id = 50")), "{" + big + "}");
}

static void shown(pqxx::connection &db) {
    const string name = "error shown", unlisted = "INSERT INTO other VALUES (1)";
    try {
        pqxx::nontransaction(db).exec(unlisted);
        same<string>(name, "no error", "unique_violation");
    } catch (const pqxx::unique_violation &error) {
        same<string>(name, error.sqlstate(), "23505");
    }
    pqxx::work with(db);
    same<string>(name, insert(with, 60), "1");
    // Behind an error of `exec` it ends the transaction by itself.
    same<string>(name, refused([&] { with.exec_params("INSERT INTO other VALUES ($1)", 1); }), "23505");
    same<string>(name, refused([&] { insert(with, 61); }), "25P02");
    with.abort();
    ok(name);
}

static void reconnect(pqxx::connection &db) {
    std::cout << "restart" << std::endl;
    string line;
    std::getline(std::cin, line);
    try {
        pqxx::work(db).exec("SELECT 1");
        same<string>("reconnect", "the session goes on", "broken_connection");
    } catch (const pqxx::broken_connection &) {
    }
    pqxx::connection anew;
    pqxx::nontransaction with(anew);
    holds<string>("reconnect", inserts(with, {1, 70}), "01");
}

static void own() {
    pqxx::connection db;
    {
        pqxx::nontransaction with(db);
        with.exec("TRUNCATE events, loads, other");
        insert(with, 1);
    }
    {
        // What is gathered is one transaction outside BEGIN.
        pqxx::nontransaction with(db);
        holds<string>("pipeline in autocommit", refused([&] { pipeline(with, "events", {2, 1, 3}); }), "23505");
    }
    pqxx::work with(db);
    holds<string>("nothing of it stored", said(with.exec("SELECT id FROM events")), "{1}");
    {
        pqxx::subtransaction inner(with, "inner");
        // Its savepoint is set by the first `exec`.
        inner.exec("SELECT 1");
        same<string>("subtransaction", inserts(inner, {1, 7, 7}), "010");
        inner.commit();
    }
    {
        pqxx::subtransaction inner(with, "inner");
        inner.exec("SELECT 1");
        same<string>("subtransaction", inserts(inner, {1, 7, 8}), "001");
        inner.abort();
    }
    holds<string>("subtransaction", inserts(with, {1, 7, 8}), "001");
    with.commit();
    pqxx::connection another;
    pqxx::robusttransaction<> robust(another);
    same<string>("robusttransaction", inserts(robust, {1, 9}), "01");
    robust.commit();
    ok("robusttransaction");
    holds<string>("stored", said(pqxx::nontransaction(db).exec("SELECT count(*) FROM events")), "{4}");
}

int main() {
    const int libpq = PQlibVersion();
    std::cout << "driver " PQXX_VERSION ", libpq " << libpq / 10000 << "." << libpq % 10000 << std::endl;
    logins();
    pqxx::connection db;
    singles(db);
    batches(db);
    copy(db);
    cursor(db);
    listen(db);
    cancel(db);
    large(db);
    shown(db);
    reconnect(db);
    own();
}
