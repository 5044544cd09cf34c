// The list of ../README.md, and behind it what is the driver's own.

import java.io.StringReader;
import java.io.StringWriter;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.postgresql.Driver;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;
import org.postgresql.util.PSQLException;

class WithPgjdbc extends Checks {
    public static void main(String[] arguments) throws Exception {
        System.out.println("driver " + Driver.getVersion().replace("PostgreSQL JDBC Driver ", ""));
        list();
        Modes.all();
    }

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
}
