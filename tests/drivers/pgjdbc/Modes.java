// pgjdbc: extended queries by default, BEGIN in one flight with the first statement of a
// transaction, pipelined batches, and savepoints of its own (autosave). Every part runs on a
// connection of its own and on its own rows.

import java.io.StringReader;
import java.sql.Connection;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Savepoint;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.IntStream;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

class Modes extends Checks {
    static final List<String> MODES =
            List.of("simple", "extended", "extendedForPrepared", "extendedCacheEverything");
    static final List<String> AUTOSAVES = List.of("never", "conservative", "always");

    static void all() throws Exception {
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
        for (String autosave : AUTOSAVES) {
            cursor("autosave=" + autosave);
            cursor("prepareThreshold=1&autosave=" + autosave);
            alteredTable(autosave);
        }
        copy();
        bigValue();
    }

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
    static void cursor(String options) throws Exception {
        try (Connection db = fresh(options); Statement reader = db.createStatement()) {
            db.setAutoCommit(false);
            reader.setFetchSize(10);
            List<Integer> read = new ArrayList<>();
            ResultSet rows = reader.executeQuery("SELECT generate_series(1, 100)");
            for (int n = 1; n <= 100; n++) {
                rows.next();
                read.add(rows.getInt(1));
                if (n % 15 == 0) {
                    // The same key again and again; the second statement is redone.
                    same("duplicate at row " + n, insert(db, 1), n == 15 ? "1" : "0");
                    same("key at row " + n, keys(db, n, 1), "" + n);
                }
            }
            same(options, read.equals(IntStream.rangeClosed(1, 100).boxed().toList()), true);
            same(options, rows.next(), false);
            db.commit();
            equal("cursor beside duplicates, " + options, stored(db), "1 15 30 45 60 75 90");
        }
    }

    /**
     * What the driver has prepared no longer fits, in a transaction: it makes up for that by its own
     * savepoint, or the error is its user's.
     */
    static void alteredTable(String autosave) throws Exception {
        String sql = "INSERT INTO events VALUES (?, 'x') RETURNING *";
        try (Connection db = fresh("prepareThreshold=1&autosave=" + autosave);
                PreparedStatement insert = db.prepareStatement(sql)) {
            db.setAutoCommit(false);
            List<String> rows = new ArrayList<>();
            for (int id : new int[] {1, 1, 2}) {
                insert.setInt(1, id);
                rows.add(column(insert.executeQuery()));
            }
            db.commit();
            update(db, "ALTER TABLE events ADD COLUMN more int");
            db.commit();
            try {
                insert(db, 1);
                for (int id : new int[] {2, 3}) {
                    insert.setInt(1, id);
                    rows.add(column(insert.executeQuery()));
                }
                db.commit();
            } catch (SQLException shown) {
                rows.add(shown.getSQLState());
                db.rollback();
            }
            update(db, "ALTER TABLE events DROP COLUMN more");
            db.commit();
            String end = autosave.equals("never") ? "0A000" : ", 3";
            equal("altered table, autosave " + autosave, String.join(", ", rows), "1, , 2, " + end);
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
}
