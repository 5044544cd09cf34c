// Logs in over TLS, with the name in the certificate verified, as PGUSER, PGPORT and CA say.

import java.sql.Connection;
import java.sql.DriverManager;
import java.util.Properties;

class TlsWithPgjdbc {
    public static void main(String[] arguments) throws Exception {
        Properties properties = new Properties();
        properties.setProperty("user", System.getenv("PGUSER"));
        properties.setProperty("password", "secret");
        properties.setProperty("sslmode", "verify-full");
        properties.setProperty("sslrootcert", System.getenv("CA"));
        String url = "jdbc:postgresql://localhost:" + System.getenv("PGPORT") + "/postgres";
        try (Connection db = DriverManager.getConnection(url, properties)) {
            db.createStatement().executeQuery("SELECT 1");
        }
        System.out.println("ok");
    }
}
