//! What the user who has connected may not do, and what applies to that user.

use super::{check, rule, url};
use crate::support::postgres::Database;
use crate::support::version::version;

/// A role that no other test has.
fn role(database: &Database, name: &str, more: &str) -> String {
    let role = format!("{}_{name}", database.name);
    database.sql(&format!("CREATE ROLE {role} LOGIN; {}", more.replace("ROLE", &role)));
    role
}

/// How the server refuses a table or a sequence.
fn denied(kind: &str, name: &str) -> String {
    let kind = if version() < 11 { "relation" } else { kind };
    format!("permission denied for {kind} {name}")
}

#[test]
fn rights_that_are_lacking_are_named() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id int PRIMARY KEY, n int, s serial UNIQUE)");
    let app = role(&database, "app", "GRANT INSERT ON t TO ROLE");
    let urls = [url(&database, &app)];
    let said = check(&rule("r", "t_pkey", "strategy = 'rewrite'"), &urls);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    said.line("r", "react, a single row: absorbed");
    let several = said.line("r", "react, several rows or a query, RETURNING: shown, redo_failed: ");
    assert!(several.ends_with(&denied("table", "t")), "{several}");
    said.line("r", "rewrite: as with react, privileges: ");
    let note = format!(
        "note: {app} may not SELECT on the table: what runs again or is rewritten needs SELECT on its \
         key (id)"
    );
    assert_eq!(said.line("r", "note: "), note);

    database.sql(&format!("GRANT SELECT ON t TO {app}"));
    let said = check(&rule("r", "t_pkey", "strategy = 'rewrite'\nreturning = 'existing'"), &urls);
    let returning =
        said.line("r", "react, RETURNING: shown, redo_failed: ON CONFLICT ON CONSTRAINT ");
    assert!(returning.ends_with(&denied("table", "t")), "{returning}");
    let note = said.line("r", "note: ");
    assert!(note.ends_with("needs SELECT on its key (id), and UPDATE"), "{note}");
    // A right that is lacking is no error: another user may have it.
    let said = check(&rule("r", "t_pkey", "on_conflict = 'update'\nset = ['n']"), &urls);
    assert_eq!(said.code, Some(0), "{}", said.out);
    said.line("r", "react, a single row, several rows or a query, RETURNING: shown, redo_failed: ");
    // What a sequence gives next is not for everyone to read.
    let said = check(&rule("r", "t_s_key", ""), &urls);
    let unread = said.line("r", "note: the key s is filled by the sequence public.t_s_seq; ");
    let denied = denied("sequence", "t_s_seq");
    assert!(unread.ends_with(&format!("could not be read: {denied}")), "{unread}");
}

#[test]
fn without_the_right_to_insert_nothing_can_be_tried() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let app = role(&database, "app", "");
    let said = check(&rule("r", "t_pkey", "users = 'importer'"), &[url(&database, &app)]);
    assert_eq!((said.code, &*said.err), (Some(0), ""), "{}", said.out);
    let refused = said.line(
        "r",
        "note: what runs again or is rewritten could not be tried, since the INSERT itself is refused: ",
    );
    assert!(refused.ends_with(&denied("table", "t")), "{refused}");
    said.line("r", &format!("note: {app} may not INSERT and SELECT on the table: connect as "));
    said.line(
        "r",
        &format!("note: rights and policies are those of {app}, and the rule is for importer"),
    );
}

#[test]
fn row_level_security_is_told_for_whom_it_applies_to() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id serial PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY");
    let grant = "GRANT INSERT, SELECT ON t TO ROLE; GRANT ALL ON SEQUENCE t_id_seq TO ROLE";
    let app = role(&database, "app", grant);
    let rules = rule("r", "t_pkey", "strategy = 'rewrite'");
    let said = check(&rules, &[url(&database, &app)]);
    said.line("r", "rewrite: as with react, row_security: row-level security applies to this user");
    said.line("r", &format!("note: row-level security applies to {app}: nothing is rewritten"));
    let unread = said.line("r", "note: the key id is filled by");
    assert!(unread.ends_with("row-level security hides rows from this user"), "{unread}");
    let said = check(&rules, &[url(&database, "postgres")]);
    said.line("r", "rewrite: sent with ");
    said.line("r", "note: row-level security is on, and does not apply to postgres; ");
}

#[test]
fn a_stricter_isolation_level_is_told() {
    let database = Database::new();
    database.sql("CREATE TABLE t (id int PRIMARY KEY)");
    let set = "ALTER USER ROLE SET default_transaction_isolation = 'serializable';
        GRANT INSERT, SELECT ON t TO ROLE";
    let app = role(&database, "app", set);
    let said = check(&rule("r", "t_pkey", "strategy = 'rewrite'"), &[url(&database, &app)]);
    said.line("r", "rewrite: as with react, isolation: ");
    said.line("r", "note: transactions are serializable unless they say otherwise: ");
}
