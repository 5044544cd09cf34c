// What the parts share: connections, INSERTs, and saying what held.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

class Checks {
    static final String INSERT = "INSERT INTO events VALUES (?, ?)";
    static final String LOAD = "INSERT INTO loads VALUES (?, ?)";
    static final String BIG = "v".repeat(5 << 20);

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

    static void same(String name, Object actual, Object expected) {
        if (!expected.equals(actual)) fail(name, actual + ", expected " + expected);
    }

    static void equal(String name, Object actual, Object expected) {
        same(name, actual, expected);
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
