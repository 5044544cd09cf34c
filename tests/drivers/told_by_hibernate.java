// Hibernate: what it makes of duplicates, in the words of told.py, which see. Debian's 3.6, as
// with_hibernate.java.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Function;
import javax.persistence.Entity;
import javax.persistence.GeneratedValue;
import javax.persistence.GenerationType;
import javax.persistence.Id;
import javax.persistence.Table;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;
import org.hibernate.exception.ConstraintViolationException;

class ToldByHibernate {
    interface Keyed {
        Integer id();

        String email();
    }

    @Entity
    @Table(name = "customers")
    static class Customer implements Keyed {
        @Id
        @GeneratedValue(strategy = GenerationType.IDENTITY)
        Integer id;

        String email;
        String name;

        Customer() {}

        Customer(String email, String name) {
            this.email = email;
            this.name = name;
        }

        public Integer id() {
            return id;
        }

        public String email() {
            return email;
        }
    }

    /** The same table, where the application makes the key, as it does with a UUID. */
    @Entity
    @Table(name = "customers")
    static class Numbered implements Keyed {
        @Id Integer id;
        String email;
        String name;

        public Integer id() {
            return id;
        }

        public String email() {
            return email;
        }
    }

    @Entity
    @Table(name = "countries")
    static class Country {
        @Id String code;
        String name;
    }

    static String database;
    static SessionFactory sessions;

    public static void main(String[] arguments) throws Exception {
        // The classes are not in a file that Hibernate could look for.
        Thread.currentThread().setContextClassLoader(ToldByHibernate.class.getClassLoader());
        System.out.println("orm " + Session.class.getPackage().getImplementationVersion());
        for (String each : System.getenv("TOLD").split(" ")) {
            database = each;
            Configuration configuration = new Configuration()
                    .setProperty("hibernate.dialect", "org.hibernate.dialect.PostgreSQLDialect")
                    .setProperty("hibernate.connection.url", url("PGHOST", "PGPORT"))
                    .setProperty("hibernate.connection.username", System.getenv("PGUSER"));
            List.of(Customer.class, Numbered.class, Country.class)
                    .forEach(configuration::addAnnotatedClass);
            sessions = configuration.buildSessionFactory();
            tell();
            sessions.close();
        }
    }

    static void tell() throws SQLException {
        stored("TRUNCATE customers, countries, invoices");
        stored("INSERT INTO countries VALUES ('de', 'first')");
        stored("INSERT INTO customers (email, name) VALUES ('a', 'first'), ('b', 'first')");
        Customer one = new Customer("a", "second");
        String said = outcome("one", List.of(one), ToldByHibernate::whose);
        one.name = "changed";
        String update = said.startsWith("`") || said.equals("23505") ? "" : merged(one);
        say("update", update);
        List<Customer> several = new ArrayList<>();
        for (String email : "dbeaf".split("")) several.add(new Customer(email, "several"));
        outcome("several", several, ToldByHibernate::whose);
        Numbered own = new Numbered();
        own.id = 1000;
        own.email = "a";
        own.name = "own";
        outcome("own", List.of(own), ToldByHibernate::whose);
        Country country = new Country();
        country.code = "de";
        country.name = "second";
        outcome("natural", List.of(country), it -> "success");
    }

    static void say(String what, String text) {
        System.out.println(database + " " + what + ": " + text);
    }

    /** Stores these in a session and a transaction of their own, and says what came of it. */
    static <T> String outcome(String what, List<T> objects, Function<List<T>, String> look)
            throws SQLException {
        String said;
        Session session = sessions.openSession();
        try {
            session.beginTransaction();
            objects.forEach(session::persist);
            session.getTransaction().commit();
            said = look.apply(objects);
        } catch (RuntimeException error) {
            session.getTransaction().rollback();
            said = named(error);
            long there = customers().keySet().stream().filter("def"::contains).count();
            if (what.equals("several") && said.startsWith("`") && there > 0) {
                said += ", and " + there + " of 3 new rows are stored";
            }
        } finally {
            session.close();
        }
        say(what, said);
        return said;
    }

    static String merged(Customer one) throws SQLException {
        Session session = sessions.openSession();
        try {
            session.beginTransaction();
            session.update(one);
            session.getTransaction().commit();
        } catch (RuntimeException error) {
            session.getTransaction().rollback();
            return named(error);
        } finally {
            session.close();
        }
        String name = stored("SELECT name FROM customers WHERE email = 'a'").get(0)[0];
        return name.equals("changed") ? "changes the row" : "**no row, and no error**";
    }

    static String named(RuntimeException error) {
        error.printStackTrace();
        boolean duplicate = error instanceof ConstraintViolationException
                && "23505".equals(((ConstraintViolationException) error).getSQLState());
        return duplicate ? "23505" : "`" + error.getClass().getSimpleName() + "`";
    }

    /** Whose keys the objects have. */
    static String whose(List<? extends Keyed> objects) {
        Map<String, Integer> ids;
        try {
            ids = customers();
        } catch (SQLException error) {
            throw new IllegalStateException(error);
        }
        List<String> each = new ArrayList<>();
        for (Keyed one : objects) {
            if (one.id() == null) each.add("**no key**");
            else if (one.id().equals(ids.get(one.email()))) each.add("the row's key");
            else each.add(ids.containsValue(one.id()) ? "**keys of other rows**" : "**a key of no row**");
        }
        for (String worst : List.of("**keys of other rows**", "**a key of no row**", "**no key**")) {
            if (each.contains(worst)) return worst;
        }
        return "the row's key";
    }

    static Map<String, Integer> customers() throws SQLException {
        Map<String, Integer> ids = new HashMap<>();
        for (String[] row : stored("SELECT email, id FROM customers")) {
            ids.put(row[0], Integer.valueOf(row[1]));
        }
        return ids;
    }

    /** The rows that the server itself gives, past the proxy. */
    static List<String[]> stored(String sql) throws SQLException {
        List<String[]> rows = new ArrayList<>();
        String server = url("SERVER_HOST", "SERVER_PORT");
        try (Connection db = DriverManager.getConnection(server, System.getenv("PGUSER"), "");
                var statement = db.createStatement()) {
            if (!statement.execute(sql)) return rows;
            ResultSet result = statement.getResultSet();
            while (result.next()) {
                String[] row = new String[result.getMetaData().getColumnCount()];
                for (int column = 0; column < row.length; column++) {
                    row[column] = result.getString(column + 1);
                }
                rows.add(row);
            }
        }
        return rows;
    }

    static String url(String host, String port) {
        return "jdbc:postgresql://" + System.getenv(host) + ":" + System.getenv(port) + "/" + database;
    }
}
