//! PostgreSQL's own tools: dumps, restores, and what replicates. Each script compares what they do
//! through the proxy with what they do past it, and prints for each tool what held; the table in
//! `docs/clients.md` is that.

use std::process::{Command, Stdio};

use pgabsorb::cli::throwaway::{Options, Throwaway};

use super::table::Table;
use super::{command, with_programs};
use crate::shell::process::Process;
use crate::support::postgres::{Database, server};
use crate::support::version::{left_out, server_has, version};

/// A tool of the table, in its order.
struct Tool {
    name: &'static str,
    know: &'static str,
}

#[test]
fn dumps() {
    if !programs_are_new_enough("dumps")
        || !server_has(11, "unique constraints of partitioned tables")
    {
        return;
    }
    let database = Database::new();
    let proxy = Process::start(RULES, &server().address().to_string());
    let printed = run("with_pg_dump.sh", server(), &proxy, &database.name);
    // Three replays by psql, and three by pg_restore.
    proxy.output.wait_for("absorbed", 3 * 2 * 100);
    hold(&printed, &["pg_dump", "pg_restore", "psql"]);
}

/// It reads all databases, and so has a server of its own; and what it writes of them is for a server of
/// its own version.
#[test]
fn a_whole_server() {
    let programs = programs();
    if programs != version() {
        return left_out(&format!("pg_dumpall, of version {programs}"));
    }
    let server = Throwaway::start(&Options::default()).unwrap_or_else(|error| panic!("{error}"));
    let proxy = Process::start(RULES, &server.address().to_string());
    let printed = run("with_pg_dumpall.sh", &server, &proxy, Throwaway::SUPERUSER);
    // Two replays, into two databases.
    proxy.output.wait_for("absorbed", 2 * 2);
    hold(&printed, &["pg_dumpall"]);
}

#[test]
fn subscription() {
    let start = |name, value| {
        let options = Options::default().setting(name, value);
        Throwaway::start(&options).unwrap_or_else(|error| panic!("{error}"))
    };
    let publisher = start("wal_level", "logical");
    // How long it waits before it tries again.
    let subscriber = start("wal_retrieve_retry_interval", "100ms");
    let proxy = Process::start(RULES, &publisher.address().to_string());
    let mut script = command("bash", &[], &["with_subscription.sh"]);
    script
        .env("SUBSCRIBER_HOST", subscriber.address().ip().to_string())
        .env("SUBSCRIBER_PORT", subscriber.port().to_string())
        .env("SUBSCRIBER_LOG", subscriber.socket_directory().join("server.log"));
    let printed = run_command(&mut script, &publisher, &proxy, Throwaway::SUPERUSER);
    proxy.output.wait_for("absorbed", 3);
    hold(&printed, &["CREATE SUBSCRIPTION"]);
}

#[test]
fn replication() {
    if !programs_are_new_enough("replication") || !server_has(12, "standby.signal") {
        return;
    }
    let options = Options::default().setting("wal_level", "logical");
    let server = Throwaway::start(&options).unwrap_or_else(|error| panic!("{error}"));
    let proxy = Process::start(RULES, &server.address().to_string());
    let printed = run("with_replication.sh", &server, &proxy, Throwaway::SUPERUSER);
    proxy.output.wait_for("absorbed", 3 * 3);
    hold(&printed, &["pg_basebackup", "pg_receivewal", "pg_recvlogical"]);
}

#[test]
fn the_page_has_a_row_for_each_tool() {
    assert_eq!(TABLE.names(), TOOLS.each_ref().map(|it| it.name));
}

/// Runs a script to its end; what it printed.
fn run(script: &str, server: &Throwaway, proxy: &Process, database: &str) -> String {
    run_command(&mut command("bash", &[], &[script]), server, proxy, database)
}

fn run_command(
    command: &mut Command,
    server: &Throwaway,
    proxy: &Process,
    database: &str,
) -> String {
    let output = with_programs(command, server.programs())
        .env("PGHOST", proxy.address().ip().to_string())
        .env("PGPORT", proxy.address().port().to_string())
        .env("PGUSER", Throwaway::SUPERUSER)
        .env("PGDATABASE", database)
        .env("PGCONNECT_TIMEOUT", "30")
        .env("SERVER_HOST", server.address().ip().to_string())
        .env("SERVER_PORT", server.address().port().to_string())
        .env("SERVER_DIRECTORY", server.socket_directory())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let [printed, errors] =
        [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it).into_owned());
    println!("{command:?}, {}\n{printed}{errors}", output.status);
    assert!(output.status.success(), "{command:?} failed");
    printed
}

/// These tools refuse a server that is newer than they are.
fn programs_are_new_enough(what: &str) -> bool {
    let number = programs();
    let enough = number >= version();
    if !enough {
        left_out(&format!("{what}, by programs of version {number}"));
    }
    enough
}

/// Their version.
fn programs() -> u32 {
    let mut command = Command::new("pg_dump");
    let output = with_programs(&mut command, server().programs()).arg("--version").output();
    let text = String::from_utf8(output.unwrap().stdout).unwrap();
    text.split([' ', '.']).find_map(|word| word.parse::<u32>().ok()).unwrap()
}

/// Holds the page's rows against what a script printed: `tool NAME VERSION`, and behind it `ok WHAT`
/// for each thing that held.
fn hold(printed: &str, names: &[&str]) {
    let parts: Vec<_> = printed.split("tool ").skip(1).collect();
    assert_eq!(parts.len(), names.len(), "{names:?} in\n{printed}");
    for (part, name) in parts.iter().zip(names) {
        let mut lines = part.lines();
        let version = lines.next().and_then(|line| line.strip_prefix(name)).expect("its version");
        let held: Vec<_> =
            lines.map(|line| marked(line.strip_prefix("ok ").expect("ok"))).collect();
        let tool = TOOLS.iter().find(|it| it.name == *name).expect("a tool of the list");
        TABLE.holds(&format!("| {name} |{version} | {} | {} |", held.join("; "), tool.know), false);
    }
}

/// With options and commands as the page writes them.
fn marked(what: &str) -> String {
    let word = |word: &str| {
        let code = if word.starts_with(['-', '\\']) { "`" } else { "" };
        [code, word, code].concat()
    };
    what.split(' ').map(word).collect::<Vec<_>>().join(" ")
}

/// Every key that is not PostgreSQL's own.
const RULES: &str = r#"
[[rule]]
id = "primary-keys"
constraint = "*_pkey"

[[rule]]
id = "other-keys"
constraint = "*_key"
"#;

const TABLE: Table = Table { page: "clients.md", head: "| tool |" };

/// The tools, in the order of the page.
const TOOLS: [Tool; 8] = [
    Tool {
        name: "pg_dump",
        know: "a dump of INSERTs can be replayed where part of its rows is there already, each duplicate \
               is absorbed; a table without a listed key gets its rows twice",
    },
    Tool {
        name: "pg_restore",
        know: "an archive made with `--inserts` can be restored again, in parallel and in one transaction \
               too; one made without is COPY, whose duplicates are shown, with status 1",
    },
    Tool {
        name: "pg_dumpall",
        know: "a replay of `--data-only` INSERTs is absorbed in each database; roles and databases that are \
               there already are not duplicate keys, and are named as ever",
    },
    Tool { name: "psql", know: "COPY is all or nothing, and a duplicate in it is never absorbed" },
    Tool {
        name: "pg_basebackup",
        know: "`-R` writes the proxy's address into the standby's `primary_conninfo`: leave it there only \
               if the standby is to depend on the proxy",
    },
    Tool {
        name: "pg_receivewal",
        know: "a drain waits for it until `drain_timeout`, as for all that replicates",
    },
    Tool {
        name: "pg_recvlogical",
        know: "an absorbed duplicate leaves no change to decode; SQL on a replication connection has no rules",
    },
    Tool {
        name: "CREATE SUBSCRIPTION",
        know: "the publisher's address may be the proxy's; what the subscriber applies passes no proxy, so \
               that a duplicate there stops it, whatever the rules",
    },
];
