// pgjdbc: extended queries by default, BEGIN in one flight with the first statement of a
// transaction, pipelined batches, and savepoints of its own (autosave). Every part runs on a
// connection of its own and on its own rows. The tables and the environment: see README.md.

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.postgresql.Driver;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

class WithPgjdbc {
    static final String INSERT = "INSERT INTO events VALUES (?, ?)";
    static final String LOAD = "INSERT INTO loads VALUES (?, ?)";
    static final List<String> MODES =
            List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything");
    static final List<String> AUTOSAVES = List.of("never", "conservative", "always");

    static final String BIG = "v".repeat(5 << 20);

    public static void main(String[] arguments) throws Exception {
        System.out.println("driver " + Driver.getVersion());
        list();
        for (String mode : MODES) {
            autocommit(mode);
            for (String autosave : AUTOSAVES) {
                transaction(mode, autosave);
                batch(mode, autosave);
            }
            batchInAutocommit(mode);
            rewrittenBatch(mode);
            rewrittenByRule(mode, false);
            rewrittenByRule(mode, true);
            generatedKeys(mode);
            savepoints(mode);
            unlisted(mode);
        }
        serverPrepared();
        cursor();
        copy();
        bigValue();
    }

    // ---- The list of README.md ----

    static void list() throws Exception {
        for (String user : List.of("trust", "password", "md5", "scram")) {
            try (Connection db = login(user, "secret", "")) {
                equal("login, " + user.replace("scram", "scram-sha-256"),
                        texts(db, "SELECT current_user"), user);
            }
        }
        Connection db = connect("");
        singles(db);
        returning(db);
        batches(db);
        copyBoth(db);
        fetchSize(db);
        notifications(db);
        cancelled(db);
        large(db);
        shown(db);
        System.out.println("restart");
        System.in.read();
        try {
            fail("reconnect", "the session goes on: " + texts(db, "SELECT 1"));
        } catch (SQLException ended) {
            db.close();
        }
        try (Connection again = connect("")) {
            equal("reconnect", insert(again, 1, 70), "0 1");
        }
    }

    static void singles(Connection db) throws SQLException {
        equal("simple insert", update(db, "INSERT INTO events VALUES (1, 'x')"), 1);
        equal("prepared insert", insert(db, 2, 3), "1 1");
        int plain = update(db, "INSERT INTO events VALUES (1, 'again')");
        try (PreparedStatement prepared = db.prepareStatement(INSERT)) {
            prepared.setInt(1, 2);
            prepared.setString(2, "again");
            equal("duplicate in autocommit", plain + " " + prepared.executeUpdate(), "0 0");
        }
        db.setAutoCommit(false);
        String counts = insert(db, 1, 10, 10, 2, 11);
        db.commit();
        db.setAutoCommit(true);
        equal("duplicate in a transaction", counts, "0 1 0 0 1");
    }

    static void returning(Connection db) throws SQLException {
        List<String> rows = new ArrayList<>(List.of(keys(db, 20), keys(db, 20)));
        db.setAutoCommit(false);
        for (int id : new int[] {21, 21, 1}) rows.add(keys(db, id));
        db.commit();
        db.setAutoCommit(true);
        equal("duplicate with RETURNING", rows, List.of("20", "", "21", "", ""));
        String sql = "INSERT INTO events VALUES (30, 'x'), (?, 'x'), (31, 'x')";
        try (PreparedStatement several = db.prepareStatement(sql)) {
            several.setInt(1, 1);
            equal("duplicate among several rows", several.executeUpdate(), 2);
        }
    }

    static void batches(Connection db) throws SQLException {
        db.setAutoCommit(false);
        insert(db, 1);
        String zeros = zeros(insertBatch(db, 100, 299, 2, 100));
        db.commit();
        db.setAutoCommit(true);
        equal("batch in a transaction", zeros, "201 202");
        update(db, "INSERT INTO loads VALUES (5, 'x')");
        equal("batch in autocommit", zeros(insertBatch(db, LOAD, 1, 200, 5)), "5 201");
    }

    static void copyBoth(Connection db) throws Exception {
        String lines = IntStream.range(2, 10_000).mapToObj(n -> n + "\n").collect(Collectors.joining());
        update(db, "INSERT INTO other VALUES (1)");
        CopyManager copy = db.unwrap(PGConnection.class).getCopyAPI();
        long copied = copy.copyIn("COPY other FROM STDIN", new StringReader(lines));
        StringWriter out = new StringWriter();
        copy.copyOut("COPY (SELECT id FROM other ORDER BY id) TO STDOUT", out);
        equal("COPY", copied == 9998 && out.toString().equals("1\n" + lines), true);
    }

    /** A portal that is suspended every ten rows. */
    static void fetchSize(Connection db) throws SQLException {
        db.setAutoCommit(false);
        List<Integer> read = new ArrayList<>();
        List<String> counts = new ArrayList<>();
        try (Statement reader = db.createStatement()) {
            reader.setFetchSize(10);
            ResultSet rows = reader.executeQuery("SELECT generate_series(1, 100)");
            while (rows.next()) {
                read.add(rows.getInt(1));
                if (rows.getInt(1) % 15 == 0) counts.add(insert(db, 1, 400 + rows.getInt(1)));
            }
        }
        db.commit();
        db.setAutoCommit(true);
        boolean all = read.equals(IntStream.rangeClosed(1, 100).boxed().toList());
        equal("cursor", all + " " + counts, "true " + Collections.nCopies(6, "0 1"));
    }

    static void notifications(Connection db) throws SQLException {
        update(db, "LISTEN ears");
        update(db, "NOTIFY ears, 'hello'");
        equal("LISTEN",
                db.unwrap(PGConnection.class).getNotifications(30_000)[0].getParameter(), "hello");
    }

    static void cancelled(Connection db) throws Exception {
        String asleep = "SELECT count(*) FROM pg_stat_activity"
                + " WHERE wait_event = 'PgSleep' AND datname = current_database()";
        try (Connection watcher = connect(""); Statement sleeper = db.createStatement()) {
            CompletableFuture<Void> cancelled = CompletableFuture.runAsync(() -> {
                try {
                    long deadline = System.nanoTime() + 30_000_000_000L;
                    while (number(watcher, asleep) == 0 && System.nanoTime() < deadline) {}
                    sleeper.cancel();
                } catch (SQLException error) {
                    throw new AssertionError(error);
                }
            });
            fails("cancel", "57014", () -> sleeper.executeQuery("SELECT pg_sleep(60)"));
            cancelled.join();
        }
        equal("cancel", number(db, "SELECT 1"), 1L);
    }

    static void large(Connection db) throws SQLException {
        StringBuilder counts = new StringBuilder();
        try (PreparedStatement prepared = db.prepareStatement(INSERT)) {
            for (String kind : List.of(BIG, "again")) {
                prepared.setInt(1, 50);
                prepared.setString(2, kind);
                counts.append(prepared.executeUpdate());
            }
        }
        boolean read = texts(db, "SELECT kind FROM events WHERE id = 50").equals(BIG);
        equal("large value", counts + " " + read, "10 true");
    }

    static void shown(Connection db) throws Exception {
        String name = "error shown";
        SQLException shown = fails(name, "23505", () -> insertOther(db));
        if (!((PSQLException) shown).getServerErrorMessage().getConstraint().equals("other_pkey")) {
            fail(name, shown.toString());
        }
        db.setAutoCommit(false);
        if (!insert(db, 60).equals("1")) fail(name, "60 is not stored");
        fails(name, "23505", () -> insertOther(db));
        fails(name, "25P02", () -> insert(db, 61));
        db.rollback();
        db.setAutoCommit(true);
        ok(name);
    }

    // ---- What is its own ----

    static void autocommit(String mode) throws Exception {
        try (Connection db = fresh("preferQueryMode=" + mode)) {
            equal(mode + ": insert or duplicate", insert(db, 1, 2, 1, 2, 3), "1 1 0 0 1");
            try (Statement statement = db.createStatement()) {
                String sql = "INSERT INTO events VALUES (3, 'x')";
                equal(mode + ": plain duplicate", statement.executeUpdate(sql), 0);
                equal(mode + ": plain duplicate, executed", statement.execute(sql), false);
                equal(mode + ": its count", statement.getUpdateCount(), 0);
            }
            try (PreparedStatement several =
                    db.prepareStatement("INSERT INTO events VALUES (4, 'x'), (?, 'x'), (5, 'x')")) {
                several.setInt(1, 1);
                equal(mode + ": several rows", several.executeUpdate(), 2);
            }
            equal(mode + ": one row each", stored(db), "1 2 3 4 5");
        }
    }

    /** The first statement, which has BEGIN before it, and later ones. */
    static void transaction(String mode, String autosave) throws Exception {
        String name = mode + ", autosave " + autosave;
        try (Connection db = fresh("preferQueryMode=" + mode + "&autosave=" + autosave)) {
            insert(db, 1, 2);
            db.setAutoCommit(false);
            equal(name + ": first is a duplicate", insert(db, 1, 3, 2, 4, 3), "0 1 0 1 0");
            db.commit();
            equal(name + ": first is none", insert(db, 5, 1, 5, 6), "1 0 0 1");
            db.commit();
            equal(name + ": rolled back", insert(db, 7, 7), "1 0");
            db.rollback();
            try (Statement statement = db.createStatement()) {
                String sql = "INSERT INTO events VALUES (1, 'x'), (8, 'x'), (2, 'x'), (9, 'x')";
                equal(name + ": several rows", statement.executeUpdate(sql), 2);
                sql = "INSERT INTO events SELECT n, 'x' FROM generate_series(8, 12) AS n";
                equal(name + ": of a query", statement.executeUpdate(sql), 3);
            }
            db.commit();
            equal(name + ": stored", stored(db), "1 2 3 4 5 6 8 9 10 11 12");
        }
    }

    /** 1000 statements in some flights: a Sync is forced every few hundred. */
    static void batch(String mode, String autosave) throws Exception {
        String name = mode + ", autosave " + autosave;
        try (Connection db = fresh("preferQueryMode=" + mode + "&autosave=" + autosave)) {
            insert(db, 1, 300, 301, 999);
            db.setAutoCommit(false);
            int[] counts = insertBatch(db, 1, 1000, 300, 301, 500);
            equal(name + ": batch", zeros(counts), "1 300 301 999 1001 1002 1003");
            db.commit();
            equal(name + ": its rows", stored(db), range(1, 1000));
        }
    }

    /** What is in one flight is one transaction: the error has undone the neighbours. */
    static void batchInAutocommit(String mode) throws Exception {
        try (Connection db = fresh("preferQueryMode=" + mode)) {
            insert(db, 300);
            if (mode.equals("simple")) {
                // No flights here, but a query for each statement.
                equal("simple: batch in autocommit", zeros(insertBatch(db, 1, 400)), "300");
                equal("simple: its rows", stored(db), range(1, 400));
                return;
            }
            raises(mode + ": batch in autocommit", "23505", () -> insertBatch(db, 1, 400));
            long rows = number(db, "SELECT count(*) FROM events WHERE id > 256");
            equal(mode + ": nothing of its flight", rows, 1L);
            equal(mode + ": alive", zeros(insertBatch(db, 1001, 1010)), "");
        }
    }

    /** The driver makes INSERTs of up to 128 rows of it, and no longer counts. */
    static void rewrittenBatch(String mode) throws Exception {
        try (Connection db = fresh("reWriteBatchedInserts=true&preferQueryMode=" + mode)) {
            insert(db, 1, 50, 51, 99);
            insertBatch(db, 1, 128);
            equal(mode + ": rewritten batch", stored(db), range(1, 128));
            db.setAutoCommit(false);
            insertBatch(db, 100, 1100);
            insertBatch(db, 1100, 1600, 1, 1600);
            db.commit();
            equal(mode + ": rewritten, in a transaction", stored(db), range(1, 1600));
        }
    }

    /** A rule with strategy = "rewrite": a batch in autocommit keeps its good rows. */
    static void rewrittenByRule(String mode, boolean several) throws Exception {
        String name = mode + ", by a rule" + (several ? ", in INSERTs of several rows" : "");
        String options = "preferQueryMode=" + mode + "&reWriteBatchedInserts=" + several;
        try (Connection db = fresh(options)) {
            insertBatch(db, LOAD, 300, 300);
            int[] counts = insertBatch(db, LOAD, 1, 1000, 300, 301, 500);
            if (!several) equal(name, zeros(counts), "300 1001 1002 1003");
            equal(name + ": its rows", stored(db, "loads"), range(1, 1000));
        }
    }

    static void generatedKeys(String mode) throws Exception {
        try (Connection db = fresh("preferQueryMode=" + mode)) {
            equal(mode + ": key", keys(db, 1), "1");
            equal(mode + ": no key of a duplicate", keys(db, 1), "");
            db.setAutoCommit(false);
            equal(mode + ": no key, first in a transaction", keys(db, 1), "");
            equal(mode + ": key in a transaction", keys(db, 2), "2");
            equal(mode + ": no key in a transaction", keys(db, 2), "");
            equal(mode + ": keys of a batch", keys(db, 3, 1, 4, 3, 5), "3 4 5");
            db.commit();
            equal(mode + ": the keys are stored", stored(db), "1 2 3 4 5");
        }
    }

    static void savepoints(String mode) throws Exception {
        try (Connection db = fresh("preferQueryMode=" + mode)) {
            insert(db, 1);
            db.setAutoCommit(false);
            Savepoint outer = db.setSavepoint("own");
            equal(mode + ": in a savepoint", insert(db, 2, 1, 3), "1 0 1");
            Savepoint inner = db.setSavepoint();
            equal(mode + ": in an inner one", insert(db, 1, 4), "0 1");
            db.rollback(inner);
            equal(mode + ": behind its rollback", insert(db, 1, 5), "0 1");
            db.releaseSavepoint(outer);
            insertOther(db);
            Savepoint last = db.setSavepoint("last");
            raises(mode + ": unlisted in a savepoint", "23505", () -> insertOther(db));
            db.rollback(last);
            equal(mode + ": behind it", insert(db, 5, 6), "0 1");
            db.commit();
            equal(mode + ": stored around savepoints", stored(db), "1 2 3 5 6");
        }
    }

    static void unlisted(String mode) throws Exception {
        try (Connection db = fresh("preferQueryMode=" + mode)) {
            insertOther(db);
            raises(mode + ": unlisted", "23505", () -> insertOther(db));
            db.setAutoCommit(false);
            insert(db, 1, 1);
            raises(mode + ": unlisted in a transaction", "23505", () -> insertOther(db));
            raises(mode + ": it has failed", "25P02", () -> insert(db, 2));
            db.rollback();
            raises(mode + ": unlisted with BEGIN", "23505", () -> insertOther(db));
            db.rollback();
            equal(mode + ": both rolled back", stored(db), "");
        }
        try (Connection db = fresh("autosave=always&preferQueryMode=" + mode)) {
            insertOther(db);
            db.setAutoCommit(false);
            insert(db, 1, 1);
            raises(mode + ": unlisted, autosaved", "23505", () -> insertOther(db));
            equal(mode + ": it goes on", insert(db, 1, 2), "0 1");
            db.commit();
            equal(mode + ": all but that stored", stored(db), "1 2");
        }
    }

    /** One statement many times: at the fifth it gets a name on the server. */
    static void serverPrepared() throws Exception {
        for (String threshold : List.of("5", "1", "-1")) {
            String name = "prepareThreshold " + threshold;
            try (Connection db = fresh("prepareThreshold=" + threshold);
                    PreparedStatement prepared = db.prepareStatement(INSERT)) {
                equal(name, insert(prepared, 1, 1, 2, 2, 3, 3, 4, 4), "1 0 1 0 1 0 1 0");
                db.setAutoCommit(false);
                equal(name + ", in a transaction",
                        insert(prepared, 4, 5, 5, 6, 6, 7, 7, 8, 8), "0 1 0 1 0 1 0 1 0");
                db.commit();
                equal(name + ", in another", insert(prepared, 8, 9, 9), "0 1 0");
                db.rollback();
                equal(name + ", stored", stored(db), range(1, 8));
            }
        }
    }

    /** A portal that stays open while duplicates come and go around it. */
    static void cursor() throws Exception {
        try (Connection db = fresh(""); Statement reader = db.createStatement()) {
            db.setAutoCommit(false);
            reader.setFetchSize(10);
            List<Integer> read = new ArrayList<>();
            ResultSet rows = reader.executeQuery("SELECT generate_series(1, 100)");
            for (int n = 1; n <= 100; n++) {
                rows.next();
                read.add(rows.getInt(1));
                if (n % 15 == 0) {
                    // The same key again and again; the second statement is redone.
                    equal("duplicate at row " + n, insert(db, 1), n == 15 ? "1" : "0");
                    equal("key at row " + n, keys(db, n, 1), "" + n);
                }
            }
            equal("cursor beside duplicates", read.equals(IntStream.rangeClosed(1, 100).boxed().toList()), true);
            equal("cursor, its end", rows.next(), false);
            db.commit();
            equal("cursor, rows stored beside it", stored(db), "1 15 30 45 60 75 90");
        }
    }

    static void copy() throws Exception {
        try (Connection db = fresh("")) {
            CopyManager copy = db.unwrap(PGConnection.class).getCopyAPI();
            db.setAutoCommit(false);
            insert(db, 1, 1);
            equal("copy in between duplicates",
                    copy.copyIn("COPY other FROM STDIN", new StringReader("2\n3\n")), 2L);
            insert(db, 1, 2);
            db.commit();
            raises("duplicate in copy", "23505",
                    () -> copy.copyIn("COPY events FROM STDIN", new StringReader("9\tx\n1\tx\n")));
            db.rollback();
            equal("stored beside copy", stored(db), "1 2");
        }
    }

    static void bigValue() throws Exception {
        try (Connection db = fresh(""); PreparedStatement prepared = db.prepareStatement(INSERT)) {
            db.setAutoCommit(false);
            for (int expected : new int[] {1, 0}) {
                prepared.setInt(1, 1);
                prepared.setString(2, BIG);
                equal("big insert or duplicate in a transaction", prepared.executeUpdate(), expected);
            }
            db.commit();
        }
    }

    // ---- What the parts share ----

    /** A connection in autocommit, to empty tables. */
    static Connection fresh(String options) throws SQLException {
        Connection db = connect(options);
        try (Statement statement = db.createStatement()) {
            statement.execute("TRUNCATE events, loads, other");
        }
        return db;
    }

    static Connection connect(String options) throws SQLException {
        return login(System.getenv("PGUSER"), "", options);
    }

    static Connection login(String user, String password, String options) throws SQLException {
        String url = String.format("jdbc:postgresql://%s:%s/%s?connectTimeout=30&socketTimeout=60&%s",
                System.getenv("PGHOST"), System.getenv("PGPORT"), System.getenv("PGDATABASE"), options);
        return DriverManager.getConnection(url, user, password);
    }

    /** Inserts these, and returns how many rows each statement says that it stored. */
    static String insert(Connection db, int... ids) throws SQLException {
        try (PreparedStatement prepared = db.prepareStatement(INSERT)) {
            return insert(prepared, ids);
        }
    }

    static String insert(PreparedStatement prepared, int... ids) throws SQLException {
        List<String> counts = new ArrayList<>();
        for (int id : ids) {
            prepared.setInt(1, id);
            prepared.setString(2, "x");
            counts.add("" + prepared.executeUpdate());
        }
        return String.join(" ", counts);
    }

    /** A batch of a range of keys, and of more behind it. */
    static int[] insertBatch(Connection db, int first, int last, int... more) throws SQLException {
        return insertBatch(db, INSERT, first, last, more);
    }

    static int[] insertBatch(Connection db, String insert, int first, int last, int... more)
            throws SQLException {
        try (PreparedStatement prepared = db.prepareStatement(insert)) {
            IntStream ids = IntStream.concat(IntStream.rangeClosed(first, last), Arrays.stream(more));
            for (int id : ids.toArray()) {
                prepared.setInt(1, id);
                prepared.setString(2, "x");
                prepared.addBatch();
            }
            return prepared.executeBatch();
        }
    }

    static int insertOther(Connection db) throws SQLException {
        return update(db, "INSERT INTO other VALUES (1)");
    }

    static int update(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement()) {
            return statement.executeUpdate(sql);
        }
    }

    static String texts(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement()) {
            return column(statement.executeQuery(sql));
        }
    }

    /** Inserts these, several as a batch, and returns the keys that RETURNING gave. */
    static String keys(Connection db, int... ids) throws SQLException {
        try (PreparedStatement prepared = db.prepareStatement(INSERT, new String[] {"id"})) {
            for (int id : ids) {
                prepared.setInt(1, id);
                prepared.setString(2, "x");
                if (ids.length > 1) prepared.addBatch();
            }
            if (ids.length > 1) prepared.executeBatch();
            else prepared.executeUpdate();
            return column(prepared.getGeneratedKeys());
        }
    }

    static String stored(Connection db) throws SQLException {
        return stored(db, "events");
    }

    static String stored(Connection db, String table) throws SQLException {
        try (Statement statement = db.createStatement()) {
            String sql = "SELECT id FROM " + table + " ORDER BY id";
            String stored = column(statement.executeQuery(sql));
            if (!db.getAutoCommit()) db.commit();
            return stored;
        }
    }

    static long number(Connection db, String sql) throws SQLException {
        try (Statement statement = db.createStatement(); ResultSet row = statement.executeQuery(sql)) {
            row.next();
            return row.getLong(1);
        }
    }

    static String column(ResultSet rows) throws SQLException {
        List<String> values = new ArrayList<>();
        while (rows.next()) values.add(rows.getString(1));
        return String.join(" ", values);
    }

    /** The positions, from 1, of the statements of a batch that stored nothing. */
    static String zeros(int[] counts) {
        return IntStream.range(0, counts.length).filter(n -> counts[n] != 1)
                .mapToObj(n -> "" + (n + 1)).collect(Collectors.joining(" "));
    }

    static String range(int first, int last) {
        return IntStream.rangeClosed(first, last).mapToObj(n -> "" + n).collect(Collectors.joining(" "));
    }

    static void ok(String name) {
        System.out.println("ok " + name);
    }

    static void equal(String name, Object actual, Object expected) {
        if (!expected.equals(actual)) fail(name, actual + ", expected " + expected);
        ok(name);
    }

    /** The call fails with this SQLSTATE. */
    static void raises(String name, String state, Call call) throws Exception {
        fails(name, state, call);
        ok(name);
    }

    static SQLException fails(String name, String state, Call call) throws Exception {
        try {
            fail(name, "no error but " + call.run() + ", expected " + state);
            throw new AssertionError();
        } catch (SQLException error) {
            if (!state.equals(error.getSQLState())) fail(name, error + ", expected " + state);
            return error;
        }
    }

    static void fail(String name, String why) {
        System.out.println("not ok " + name + ": " + why);
        // At once, and whatever thread still waits.
        Runtime.getRuntime().halt(1);
    }

    interface Call {
        Object run() throws Exception;
    }
}
