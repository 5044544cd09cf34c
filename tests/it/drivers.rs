//! Real clients, through the proxy, against the real server. Each has a script of its own under
//! `tests/drivers`, does the same things, and prints a line for each that held; what came of it is in
//! `docs/clients.md`.

mod common;
mod migrations;
mod orms;
mod page;
mod poolers;
mod servers;
mod stage;
mod table;
mod tokio_postgres;
mod told;
mod tools;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Report;
use stage::Stage;

#[test]
fn psql() {
    run("psql", "bash", &[], &["with_psql.sh"]);
}

#[test]
fn pgbench() {
    run("pgbench", "bash", &[], &["with_pgbench.sh"]);
}

#[test]
fn psycopg_3() {
    run("psycopg 3", python(), &[], &["with_psycopg3.py"]);
}

#[test]
fn psycopg_3_in_protocol_3_2() {
    let stage = Stage::new();
    stage.run(&mut command(python(), &[], &["protocol_with_psycopg3.py"]));
    stage.proxy.output.wait_for("absorbed", 2);
}

#[test]
fn psycopg2() {
    run("psycopg2", python(), &[], &["with_psycopg2.py"]);
}

#[test]
fn asyncpg() {
    run("asyncpg", python(), &[], &["with_asyncpg.py"]);
}

#[test]
fn psqlodbc() {
    run("psqlodbc", python(), &[], &["with_psqlodbc.py"]);
}

#[test]
fn pgjdbc() {
    run("pgjdbc", "bash", &[], &["with_pgjdbc.sh"]);
}

#[test]
fn pg8000() {
    run("pg8000", python(), &[], &["with_pg8000.py"]);
}

#[test]
fn node_postgres() {
    run("node-postgres", "node", &[], &["with_node_postgres.js"]);
}

#[test]
fn postgres_js() {
    run("postgres.js", "node", &[], &["with_postgres_js.js"]);
}

#[test]
fn lib_pq() {
    run("lib/pq", "bash", &[], &["with_go.sh", "lib_pq"]);
}

#[test]
fn pgx() {
    run("pgx", "bash", &[], &["with_go.sh", "pgx"]);
}

#[test]
fn php_pdo() {
    run("PHP, PDO", "php", &[], &["with_php_pdo.php"]);
}

#[test]
fn php_pgsql() {
    run("PHP, pg_*", "php", &[], &["with_php_pgsql.php"]);
}

#[test]
fn dbd_pg() {
    run("DBD::Pg", "perl", &[], &["with_dbd_pg.pl"]);
}

#[test]
fn ruby_pg() {
    run("ruby-pg", "ruby", &[], &["with_ruby_pg.rb"]);
}

#[test]
fn libpq() {
    run("libpq", "bash", &[], &["with_libpq.sh"]);
}

#[test]
fn libpqxx() {
    run("libpqxx", "bash", &[], &["with_libpqxx.sh"]);
}

#[test]
fn sqlx() {
    run("sqlx", "bash", &[], &["with_rust.sh", "sqlx"]);
}

#[test]
fn diesel() {
    run("diesel", "bash", &[], &["with_rust.sh", "diesel"]);
}

/// Runs a driver's script, and holds the page against what it printed.
fn run(driver: &str, interpreter: impl AsRef<Path>, options: &[&str], script: &[&str]) {
    let mut command = command(interpreter, options, script);
    if let Some(asked) = poolers::asked_for() {
        return poolers::tell(driver, asked, poolers::script(&mut command));
    }
    let stage = Stage::new();
    let printed = stage.run(&mut command);
    let report =
        Report::read(&printed).unwrap_or_else(|why| panic!("{script:?}: {why}\n{printed}"));
    stage.proxy.output.wait_for("absorbed", 20);
    page::holds(driver, &report);
}

/// Seconds until a script is taken to hang: most need a few.
const TIMEOUT: &str = "120";

/// `events_pkey` and `loads_pkey` are listed, `other_pkey` is not.
const RULES: &str = r#"
[[rule]]
id = "events"
constraint = "events_pkey"
table = "events"
action = "absorb"

[[rule]]
id = "loads"
constraint = "loads_pkey"
strategy = "rewrite"
"#;

const SCHEMA: &str = "
CREATE TABLE events (id int PRIMARY KEY, kind text);
CREATE TABLE loads (id int PRIMARY KEY, kind text);
CREATE TABLE other (id int PRIMARY KEY);
CREATE SEQUENCE numbers;
";

/// A script, with what is its own on its command line.
fn command(interpreter: impl AsRef<Path>, options: &[&str], script: &[&str]) -> Command {
    let [script, arguments @ ..] = script else { panic!("no script") };
    let mut command = Command::new("timeout");
    command
        .args(["--kill-after=5", TIMEOUT])
        .arg(interpreter.as_ref())
        .args(options)
        .arg(repository().join("tests/drivers").join(script))
        .args(arguments)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// With the server's programs ahead of others of that name.
fn with_programs<'a>(command: &'a mut Command, programs: &Path) -> &'a mut Command {
    let others = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths([programs.to_owned()].into_iter().chain(env::split_paths(&others)));
    command.env("PATH", path.unwrap())
}

/// The interpreter that has the drivers.
fn python() -> PathBuf {
    let path = repository().join("target/drivers-venv/bin/python");
    assert!(path.exists(), "{} is missing: tests/run makes it", path.display());
    path
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
