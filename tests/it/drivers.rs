//! Real clients, through the proxy, against the real server. Each has a script of its own under
//! `tests/drivers`, does the same things, and prints a line for each that held.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::postgres::{Database, server};
use crate::support::proxy::Proxy;

mod orms;
mod tokio_postgres;

#[test]
fn psql() {
    run("bash", &[], "with_psql.sh");
}

#[test]
fn pgbench() {
    run("bash", &[], "with_pgbench.sh");
}

#[test]
fn psycopg_3() {
    run(python(), &[], "with_psycopg3.py");
}

#[test]
fn psycopg_3_in_protocol_3_2() {
    run(python(), &[], "protocol_with_psycopg3.py");
}

#[test]
fn psycopg2() {
    run(python(), &[], "with_psycopg2.py");
}

#[test]
fn asyncpg() {
    run(python(), &[], "with_asyncpg.py");
}

#[test]
fn psqlodbc() {
    run(python(), &[], "with_psqlodbc.py");
}

#[test]
fn pgjdbc() {
    run("java", &java(PGJDBC), "with_pgjdbc.java");
}

/// One run of a few seconds: less compiling, and no file for jstat and its like.
fn java(jars: &str) -> [&str; 4] {
    ["-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-cp", jars]
}

/// Seconds until a script is taken to hang: most need a few.
const TIMEOUT: &str = "120";

/// Where Debian puts the driver.
const PGJDBC: &str = "/usr/share/java/postgresql.jar";

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

/// A database with the tables of the scripts, and a proxy with the one rule.
fn fixture() -> (Database, Proxy) {
    let database = Database::new();
    database.sql(SCHEMA);
    (database, Proxy::start(RULES))
}

fn run(interpreter: impl AsRef<Path>, options: &[&str], script: &str) {
    let (database, proxy) = fixture();
    run_in(&database, &proxy, interpreter, options, &[script]);
}

/// Runs a script, with what is its own on its command line, through this proxy.
fn run_in(
    database: &Database,
    proxy: &Proxy,
    interpreter: impl AsRef<Path>,
    options: &[&str],
    script: &[&str],
) {
    let [script, arguments @ ..] = script else { panic!("no script") };
    let programs = [server().programs().to_owned()];
    let others = env::var_os("PATH").unwrap_or_default();
    let path = env::join_paths(programs.into_iter().chain(env::split_paths(&others))).unwrap();
    let output = Command::new("timeout")
        .args(["--kill-after=5", TIMEOUT])
        .arg(interpreter.as_ref())
        .args(options)
        .arg(repository().join("tests/drivers").join(script))
        .args(arguments)
        .env("PATH", path)
        .env("PGHOST", proxy.address().ip().to_string())
        .env("PGPORT", proxy.address().port().to_string())
        .env("PGUSER", "postgres")
        .env("PGDATABASE", &database.name)
        .env("PGCONNECT_TIMEOUT", "30")
        .env("SERVER_HOST", server().address().ip().to_string())
        .env("SERVER_PORT", server().address().port().to_string())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (stdout, stderr) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{script}, {}\n{stdout}{stderr}", output.status);
    assert!(output.status.success(), "{script} failed");
    proxy.log_lines("absorbed", 1);
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
