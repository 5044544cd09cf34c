//! `pgabsorb suggest`: rules that can be put into a rules file as they are.

use std::io::Write;
use std::process::{Command, Stdio};

use pgabsorb::cli::throwaway::{Options, Throwaway};
use pgabsorb::config::{self, Overrides};
use pgabsorb::rules::{Action, Constraint, Origin, Ruleset};

use crate::check::{Said, said, url};
use crate::shell::process::command;
use crate::support::postgres::Database;
use crate::support::proxy::Proxy;
use crate::support::version::server_has;
use crate::support::wait_until;
use crate::support::wire::{Wire, startup};

fn suggest(arguments: &[&str]) -> Command {
    let mut command = command();
    command.arg("suggest").args(arguments);
    command
}

/// The rules that a suggestion is, behind a `[proxy]`.
fn parsed(said: &Said) -> Ruleset {
    assert_eq!(said.code, Some(0), "{}", said.err);
    let text = format!("[proxy]\nupstream = '127.0.0.1:5432'\n{}", said.out);
    let config = config::parse(&text, &Overrides::default());
    config.unwrap_or_else(|mistakes| panic!("{}\n{text}", mistakes.in_file("suggestion"))).rules
}

fn names(rules: &Ruleset) -> Vec<&str> {
    rules.rules().iter().map(|rule| rule.constraint.as_str()).collect()
}

const TABLES: &str = "
    CREATE TABLE events (id text PRIMARY KEY, sender text, number int, UNIQUE (sender, number));
    INSERT INTO events SELECT n::text FROM generate_series(1, 50) n; ANALYZE events;
    CREATE TABLE orders (id serial PRIMARY KEY, mail text UNIQUE);
    CREATE TABLE late (id int PRIMARY KEY DEFERRABLE);
    CREATE TABLE ruled (id int PRIMARY KEY);
    CREATE RULE more AS ON INSERT TO ruled DO ALSO NOTHING;
    CREATE SCHEMA \"Ünï *\"; CREATE TABLE \"Ünï *\".\"t\n\"\"?\" (a int CONSTRAINT \"k*\"\"\\\" UNIQUE,
        b int CONSTRAINT \"*\" UNIQUE)";

/// Where a partitioned table has no key, it is not partitioned.
fn tables() -> String {
    let parts = if server_has(11, "unique constraints of partitioned tables") {
        "PARTITION BY RANGE (id);
         CREATE TABLE part PARTITION OF parted FOR VALUES FROM (0) TO (10)"
    } else {
        ""
    };
    format!("{TABLES}; CREATE TABLE parted (id int PRIMARY KEY) {parts}")
}

#[test]
fn a_database_gives_rules_that_only_observe_and_list_its_constraints() {
    let database = Database::new();
    database.sql(&tables());
    let url = url(&database, "postgres");
    let said = said(&mut suggest(&["--database", &url]));
    let rules = parsed(&said);
    let mut found = names(&rules);
    found.sort_unstable();
    let expected =
        ["events_pkey", "events_sender_number_key", "k?\"\\", "orders_mail_key", "parted_pkey"];
    assert_eq!(found, expected, "{}", said.out);
    assert!(rules.rules().iter().all(|rule| rule.action == Action::Observe));
    let odd = Constraint {
        schema: "Ünï *".to_owned(),
        table: "t\n\"?".to_owned(),
        name: "k*\"\\".to_owned(),
    };
    assert_eq!(rules.find(&odd, &Origin::default()).unwrap().id.as_str(), "k");
    for line in [
        "# public.events: primary key events_pkey (id); about 50 rows",
        "#   react, a single row: absorbed",
        "# left out: primary key late_pkey of public.late: it is deferrable, so",
        "# left out: primary key orders_pkey of public.orders: the sequence public.orders_id_seq fills id",
        "# left out: primary key ruled_pkey of public.ruled: error: react, a single row",
        "# left out: unique constraint * of \"Ünï *\".\"t\\n\\\"?\": no rule could name it",
    ] {
        assert!(said.out.lines().any(|it| it.starts_with(line)), "{line}\n{}", said.out);
    }
}

#[test]
fn schemas_tables_and_sequences_are_chosen() {
    let database = Database::new();
    database.sql(&tables());
    let url = url(&database, "postgres");
    let chosen = |more: &[&str]| {
        let mut command = suggest(more);
        let said = said(command.env("PGABSORB_DATABASE", &url));
        let rules = parsed(&said);
        names(&rules).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(chosen(&["--schema", "Ü*"]), ["k?\"\\"]);
    assert_eq!(
        chosen(&["--schema", "public", "--table", "?????s"]),
        ["events_pkey", "events_sender_number_key", "orders_mail_key"]
    );
    assert_eq!(chosen(&["--table", "orders", "--all"]), ["orders_mail_key", "orders_pkey"]);
    assert_eq!(chosen(&["--table", "nothing"]), [""; 0]);
}

#[test]
fn a_log_of_the_proxys_gives_the_constraints_that_no_rule_lists() {
    let database = Database::new();
    database.sql(
        "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE \"B *\" (id int CONSTRAINT \"b\"\"k\" UNIQUE);
         CREATE TABLE c (id int PRIMARY KEY);
         INSERT INTO a VALUES (1); INSERT INTO \"B *\" VALUES (1); INSERT INTO c VALUES (1)",
    );
    let proxy = Proxy::start("[[rule]]\nid = 'c'\nconstraint = 'c_pkey'\n");
    let parameters = [("database", &*database.name), ("application_name", "web")];
    let mut wire = Wire::connect(proxy.address(), &startup(&parameters));
    for table in ["a", "\"B *\"", "\"B *\"", "c"] {
        wire.query(&format!("INSERT INTO {table} VALUES (1)"));
    }
    let log = proxy.log_lines("", 4).join("\n") + "\nnot JSON\n[1]\n\n";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("log");
    std::fs::write(&file, &log).unwrap();
    let by_file = said(&mut suggest(&["--log", file.to_str().unwrap()]));
    let rules = parsed(&by_file);
    assert_eq!(names(&rules), ["b\"k", "a_pkey"], "{}", by_file.out);
    assert_eq!(by_file.err, "2 lines are left out: no JSON object\n");
    assert!(
        by_file.out.starts_with("# 2 duplicate keys of \"b\\\"k\", the last at 20"),
        "{}",
        by_file.out
    );
    assert!(by_file.out.contains("#   application web\n"), "{}", by_file.out);

    let mut child = suggest(&["--log", "-", "--table", "a"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(log.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let by_input = Said { code: output.status.code(), out, err: String::new() };
    assert_eq!(names(&parsed(&by_input)), ["a_pkey"]);
}

#[test]
fn a_log_of_the_servers_gives_the_names_of_constraints() {
    if !server_has(15, "a log in JSON") {
        return;
    }
    let options = Options::default()
        .setting("logging_collector", "on")
        .setting("log_destination", "jsonlog")
        .setting("log_directory", "json");
    let server = Throwaway::start(&options).unwrap();
    let mut wire = Wire::connect(server.address(), &startup(&[]));
    wire.query("CREATE TABLE t (id int CONSTRAINT \"it's \"\"odd\"\"\" PRIMARY KEY)");
    for _ in 0..3 {
        wire.query("INSERT INTO t VALUES (1)");
    }
    wire.query("CREATE TABLE u (a int); INSERT INTO u VALUES (1), (1)");
    wire.query("CREATE UNIQUE INDEX ON u (a)");
    let logs = json_logs(server.socket_directory());
    let read = || std::fs::read_to_string(logs.first()?).ok();
    wait_until("the server has logged", || {
        read().is_some_and(|text| text.matches("\"23505\"").count() == 3 && text.ends_with('\n'))
    });
    let said = said(&mut suggest(&["--log", logs[0].to_str().unwrap()]));
    let rules = parsed(&said);
    assert_eq!(names(&rules), ["it's \"odd\""], "{}", said.out);
    assert!(said.out.starts_with("# 2 duplicate keys of "), "{}", said.out);
    assert!(
        said.err.starts_with("1 line is left out: a duplicate key, but the line does not tell")
    );
}

/// The files of the server's log in JSON.
fn json_logs(directory: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                found.push(path);
            }
        }
    }
    found
}

#[test]
fn what_cannot_be_suggested_from_is_told() {
    let nothing = said(&mut suggest(&[]));
    assert!(nothing.err.contains("--database <URL>"), "{}", nothing.err);
    let nowhere = said(&mut suggest(&["--log", "/nowhere/log"]));
    assert_eq!(nowhere.code, Some(1));
    assert!(nowhere.err.starts_with("pgabsorb: cannot open /nowhere/log: No such file"));
    let refused = said(&mut suggest(&["--database", "postgresql://me@127.0.0.1:1/shop"]));
    assert_eq!(refused.code, Some(1));
    assert!(refused.err.starts_with("pgabsorb: cannot connect to database shop on 127.0.0.1:1"));
    let pattern = said(&mut suggest(&["--log", "-", "--table", ""]));
    assert!(pattern.err.contains("is empty"), "{}", pattern.err);
}
