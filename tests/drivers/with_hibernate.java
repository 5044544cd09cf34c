// Hibernate: what persist makes of a duplicate, with a key that the server makes (RETURNING), one
// that the application has, and one that is asked from a sequence beforehand. What has no RETURNING
// it sends in batches, and it wants each to have inserted a row: 0 is a StaleStateException, unless
// the rule says affected_rows = "requested", as that of regions does.
//
// This is Debian's Hibernate, 3.6, old and with these habits of today's. The tables and the
// environment: see checks.py and tests/it/drivers/orms.rs.

import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.util.ArrayList;
import java.util.List;
import javax.persistence.Entity;
import javax.persistence.GeneratedValue;
import javax.persistence.GenerationType;
import javax.persistence.Id;
import javax.persistence.JoinColumn;
import javax.persistence.ManyToOne;
import javax.persistence.SequenceGenerator;
import javax.persistence.Table;
import org.hibernate.Session;
import org.hibernate.SessionFactory;
import org.hibernate.cfg.Configuration;
import org.hibernate.exception.ConstraintViolationException;

class WithHibernate {
    @Entity
    @Table(name = "customers")
    static class Customer {
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
    }

    /** The same table; the key is there before the row. */
    @Entity
    @Table(name = "customers")
    static class Sequenced {
        @Id
        @GeneratedValue(strategy = GenerationType.SEQUENCE, generator = "ids")
        @SequenceGenerator(name = "ids", sequenceName = "customers_id_seq", allocationSize = 1)
        Integer id;

        String email;
        String name;

        Sequenced() {}

        Sequenced(String email, String name) {
            this.email = email;
            this.name = name;
        }
    }

    @Entity
    @Table(name = "countries")
    static class Country {
        @Id String code;
        String name;

        Country() {}

        Country(String code, String name) {
            this.code = code;
            this.name = name;
        }
    }

    @Entity
    @Table(name = "regions")
    static class Region {
        @Id String code;
        String name;

        Region() {}

        Region(String code, String name) {
            this.code = code;
            this.name = name;
        }
    }

    /** Of its keys no rule speaks. */
    @Entity
    @Table(name = "invoices")
    static class Invoice {
        @Id
        @GeneratedValue(strategy = GenerationType.IDENTITY)
        Integer id;

        String number;

        @ManyToOne
        @JoinColumn(name = "customer_id")
        Customer customer;

        Invoice() {}

        Invoice(String number, Customer customer) {
            this.number = number;
            this.customer = customer;
        }
    }

    static SessionFactory sessions;

    public static void main(String[] arguments) throws Exception {
        // The classes are not in a file that Hibernate could look for.
        Thread.currentThread().setContextClassLoader(WithHibernate.class.getClassLoader());
        Configuration configuration = new Configuration()
                .setProperty("hibernate.dialect", "org.hibernate.dialect.PostgreSQLDialect")
                .setProperty("hibernate.connection.url", url("PGHOST", "PGPORT"))
                .setProperty("hibernate.connection.username", System.getenv("PGUSER"))
                .setProperty("hibernate.jdbc.batch_size", "20");
        List.of(Customer.class, Sequenced.class, Country.class, Region.class, Invoice.class)
                .forEach(configuration::addAnnotatedClass);
        sessions = configuration.buildSessionFactory();
        List<Part> parts = List.of(WithHibernate::generated, WithHibernate::sameSession,
                WithHibernate::assigned, WithHibernate::requested, WithHibernate::sequence,
                WithHibernate::unlisted);
        for (Part part : parts) {
            stored("TRUNCATE customers, countries, regions, invoices");
            part.run();
        }
        sessions.close();
    }

    static void generated() throws Exception {
        Customer first = new Customer("a", "first");
        transaction(session -> session.persist(first));
        Customer again = new Customer("a", "second");
        transaction(session -> {
            session.persist(again);
            session.persist(new Customer("b", "second"));
            session.persist(new Invoice("1", again));
        });
        String key = stored("SELECT id FROM customers WHERE email = 'a'");
        equal("persist: the existing key", first.id + " " + again.id, key + " " + key);
        equal("persist: what it was given", again.name, "second");
        String rows = "SELECT email || name FROM customers ORDER BY email";
        equal("persist: stored", stored(rows), "afirst bsecond");
        String joined =
                "SELECT number || email FROM invoices JOIN customers c ON customer_id = c.id";
        equal("persist: the key in a foreign key", stored(joined), "1a");
        transaction(session -> {
            session.refresh(again);
            equal("refresh: read from the row", again.name, "first");
            again.name = "changed";
        });
        equal("dirty: now it is an UPDATE", stored(rows), "achanged bsecond");
    }

    /** A session has one object of each row, and says so. */
    static void sameSession() throws Exception {
        raises("two objects of a row in a session", "NonUniqueObjectException",
                () -> transaction(session -> {
                    session.persist(new Customer("a", "first"));
                    session.persist(new Customer("a", "second"));
                }));
        equal("two objects of a row: undone", stored("SELECT count(*) FROM customers"), "0");
    }

    static void assigned() throws Exception {
        transaction(session -> session.persist(new Country("de", "first")));
        raises("assigned key: no row counted", "StaleStateException",
                () -> transaction(session -> {
                    session.persist(new Country("at", "second"));
                    session.persist(new Country("de", "second"));
                }));
        equal("assigned key: undone", stored("SELECT code FROM countries"), "de");
    }

    static void requested() throws Exception {
        for (int from : new int[] {100, 150}) {
            transaction(session -> {
                for (int code = from; code < from + 100; code++) {
                    session.persist(new Region("" + code, "" + from));
                }
            });
        }
        String counts = "SELECT name || ':' || count(*) FROM regions GROUP BY name ORDER BY name";
        equal("assigned key, rows requested: stored", stored(counts), "100:100 150:50");
    }

    static void sequence() throws Exception {
        transaction(session -> session.persist(new Sequenced("a", "first")));
        raises("sequence: no row counted", "StaleStateException",
                () -> transaction(session -> {
                    session.persist(new Sequenced("b", "second"));
                    session.persist(new Sequenced("a", "second"));
                }));
        equal("sequence: undone", stored("SELECT email || name FROM customers"), "afirst");
    }

    static void unlisted() throws Exception {
        Customer customer = new Customer("a", "first");
        transaction(session -> {
            session.persist(customer);
            session.persist(new Invoice("1", customer));
        });
        raises("unlisted", "23505", () -> transaction(session -> {
            session.persist(new Customer("a", "undone"));
            session.persist(new Customer("b", "undone"));
            session.persist(new Invoice("1", customer));
        }));
        equal("unlisted: undone", stored("SELECT email || name FROM customers"), "afirst");
        equal("unlisted: invoices", stored("SELECT number FROM invoices"), "1");
    }

    // ---- What the parts share ----

    static void transaction(Work work) throws Exception {
        Session session = sessions.openSession();
        session.beginTransaction();
        try {
            work.in(session);
            session.getTransaction().commit();
        } catch (Exception error) {
            session.getTransaction().rollback();
            throw error;
        } finally {
            session.close();
        }
    }

    static String url(String host, String port) {
        return String.format("jdbc:postgresql://%s:%s/%s?connectTimeout=30&socketTimeout=60",
                System.getenv(host), System.getenv(port), System.getenv("PGDATABASE"));
    }

    /** The first column of what the server itself holds, past the proxy. */
    static String stored(String sql) throws SQLException {
        String server = url("SERVER_HOST", "SERVER_PORT");
        List<String> values = new ArrayList<>();
        try (Connection db = DriverManager.getConnection(server, System.getenv("PGUSER"), "");
                Statement statement = db.createStatement()) {
            if (statement.execute(sql)) {
                ResultSet rows = statement.getResultSet();
                while (rows.next()) values.add(rows.getString(1));
            }
        }
        return String.join(" ", values);
    }

    static void equal(String name, Object actual, Object expected) {
        if (!expected.equals(actual)) fail(name, actual + ", expected " + expected);
        System.out.println("ok " + name);
    }

    static void raises(String name, String expected, Part part) {
        try {
            part.run();
        } catch (ConstraintViolationException error) {
            equal(name, error.getSQLState(), expected);
            return;
        } catch (Exception error) {
            equal(name, error.getClass().getSimpleName(), expected);
            return;
        }
        fail(name, "no error, expected " + expected);
    }

    static void fail(String name, String why) {
        System.out.println("not ok " + name + ": " + why);
        System.exit(1);
    }

    interface Part {
        void run() throws Exception;
    }

    interface Work {
        void in(Session session) throws Exception;
    }
}
