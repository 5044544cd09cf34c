//! Rules for some clients only: by database, user, application name, and kind of connection.

use super::{has, proxy, session};
use crate::support::postgres::Database;
use crate::support::wire::{Wire, query, startup, startup_version};

const TABLE: &str = "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)";
const DUPLICATE: &str = "INSERT INTO t VALUES (1)";

fn rules(condition: &str) -> String {
    format!("[[rule]]\nid = 't'\nconstraint = 't_pkey'\naction = 'absorb'\n{condition}\n")
}

#[test]
fn rules_for_databases_apply_there() {
    let (here, elsewhere) = (Database::new(), Database::new());
    let proxy = proxy(&rules(&format!("databases = ['{}']", here.name)));
    for database in [&here, &elsewhere] {
        database.sql(TABLE);
        let reply = session(&proxy, database).query(DUPLICATE);
        assert_eq!(has(&reply, "INSERT 0 0"), database.name == here.name, "{reply:?}");
        assert_ne!(has(&reply, "C23505"), database.name == here.name, "{reply:?}");
    }
}

#[test]
fn rules_for_users_apply_to_them() {
    let database = Database::new();
    database.sql(TABLE);
    let listed = format!("listed_{}", database.name);
    database.sql(&format!("CREATE ROLE {listed} LOGIN; GRANT ALL ON t TO {listed}"));
    let proxy = proxy(&rules("users = 'listed_*'"));
    for user in [&*listed, "postgres"] {
        let packet = startup_version(3 << 16, &[("user", user), ("database", &database.name)]);
        let reply = Wire::connect(proxy.address(), &packet).query(DUPLICATE);
        assert_eq!(has(&reply, "INSERT 0 0"), user == listed, "{reply:?}");
    }
    database.sql(&format!("DROP OWNED BY {listed}; DROP ROLE {listed}"));
}

#[test]
fn rules_for_applications_follow_what_the_session_says_it_is() {
    let database = Database::new();
    database.sql(TABLE);
    let proxy = proxy(&rules("application_names = ['web*']"));
    let named = [("database", &*database.name), ("application_name", "web-1")];
    let mut wire = Wire::connect(proxy.address(), &startup(&named));
    assert!(has(&wire.query(DUPLICATE), "INSERT 0 0"));
    wire.query("SET application_name = 'job'");
    assert!(has(&wire.query(DUPLICATE), "C23505"));
    wire.query("RESET application_name");
    assert!(has(&wire.query(DUPLICATE), "INSERT 0 0"));
}

#[test]
fn names_count_as_far_as_the_server_reads_them() {
    let names = ["d", "u", "a"].map(|it| it.repeat(63));
    let [name, user, application] = &names;
    let database = Database::named(name);
    database.sql(TABLE);
    database.sql(&format!("CREATE ROLE {user} LOGIN; GRANT ALL ON t TO {user}"));
    let condition =
        format!("databases = '{name}'\nusers = '{user}'\napplication_names = '{application}'");
    let proxy = proxy(&rules(&condition));
    let [longer_name, longer_user, longer_application] = names.clone().map(|it| it + "more");
    let packet = startup_version(
        3 << 16,
        &[
            ("user", &longer_user),
            ("database", &longer_name),
            ("application_name", &longer_application),
        ],
    );
    let reply = Wire::connect(proxy.address(), &packet).query(DUPLICATE);
    assert!(has(&reply, "INSERT 0 0"), "{reply:?}");
    let line = &proxy.output.wait_for("absorbed", 1)[0];
    for name in &names {
        assert!(line.contains(&format!("\"{name}\"")), "{line}");
    }
    database.sql(&format!("DROP OWNED BY {user}; DROP ROLE {user}"));
}

#[test]
fn a_replication_connection_is_shown_its_duplicates() {
    let database = Database::new();
    database.sql(TABLE);
    let proxy = proxy(&rules(""));
    let packet = startup(&[("database", &database.name), ("replication", "database")]);
    let mut wire = Wire::connect(proxy.address(), &packet);
    assert!(has(&wire.query(DUPLICATE), "C23505"));
    assert!(has(&wire.query("SELECT 'goes on'"), "goes on"));
    wire.send(&query(DUPLICATE));
    wire.half_close();
    assert!(has(&wire.rest().0, "C23505"));
}
