//! `/metrics`, number by number: clients do known things, and each number is just that.

use std::collections::{BTreeMap, HashSet};
use std::process::Command;

use super::admin::{ADMIN, get};
use super::fake::Upstream;
use super::metrics::Numbers;
use super::process::Process;
use super::{has, proxy, session};
use crate::support::postgres::Database;
use crate::support::wait_until;
use crate::support::wire::{Wire, message, pbe, query, startup, sync, terminate};

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1);
    CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)";

const RULES: &str = "
    [[rule]]
    id = 'the-t'
    constraint = 't_pkey'
    [[rule]]
    id = 'bulk'
    constraint = 'b_pkey'
    strategy = 'rewrite'
";

/// Whether the series of a metric that are not 0 are these, by the value of their one label.
fn assert_series(numbers: &Numbers, name: &str, expected: &[(&str, u64)]) {
    let labelled = |series: &str| series.split('"').nth(1).unwrap().to_owned();
    let found = numbers.all(name).into_iter().map(|(series, number)| (labelled(series), number));
    let expected = expected.iter().map(|&(value, number)| (value.to_owned(), number));
    assert_eq!(found.collect::<BTreeMap<_, _>>(), expected.collect::<BTreeMap<_, _>>(), "{name}");
}

fn ended(proxy: &Process) -> Numbers {
    wait_until("the sessions end", || Numbers::read(proxy).of("pgabsorb_sessions") == 0);
    Numbers::read(proxy)
}

#[test]
fn messages_and_the_proxys_own_commands_are_those_that_were_sent() {
    let (database, proxy) = (Database::new(), proxy(&format!("{ADMIN}{RULES}")));
    database.sql(TABLES);
    let mut wire = session(&proxy, &database);
    // The lookup goes ahead of the first.
    assert!(has(&wire.query("INSERT INTO t VALUES (1)"), "INSERT 0 0"));
    assert!(has(&wire.query("INSERT INTO t VALUES (1), (2)"), "INSERT 0 1"));
    for _ in 0..2 {
        wire.send(&[pbe("INSERT INTO t VALUES (1)", &[]), sync()].concat());
        assert!(has(&wire.until(b'Z', 1), "INSERT 0 0"));
    }
    assert!(has(&wire.query("BEGIN"), "BEGIN"));
    let inside = Numbers::read(&proxy);
    assert_eq!(inside.of("pgabsorb_sessions_by_state{state=\"transaction\"}"), 1);
    assert!(has(&wire.query("INSERT INTO t VALUES (1)"), "INSERT 0 0"));
    assert!(has(&wire.query("INSERT INTO t VALUES (3)"), "INSERT 0 1"));
    assert!(has(&wire.query("INSERT INTO t VALUES (1), (4)"), "INSERT 0 1"));
    assert!(has(&wire.query("COMMIT"), "COMMIT"));
    assert!(has(&wire.query("INSERT INTO b VALUES (1), (2)"), "INSERT 0 1"));
    assert!(has(&wire.query("SELECT 1 / 0"), "C22012"));
    // A redo that fails: the second row hits another constraint.
    assert!(has(&wire.query("CREATE UNIQUE INDEX t_n ON t (n)"), "CREATE"));
    assert!(has(&wire.query("INSERT INTO t VALUES (5, 7)"), "INSERT 0 1"));
    assert!(has(&wire.query("INSERT INTO t VALUES (1, 0), (6, 7)"), "C23505"));
    wire.send(&terminate());
    assert!(wire.rest().0.is_empty());

    let numbers = ended(&proxy);
    let (messages, extended) = ("pgabsorb_messages_total", 2);
    assert_series(
        &numbers,
        messages,
        &[
            ("query", 12),
            ("parse", extended),
            ("bind", extended),
            ("execute", extended),
            ("sync", extended),
            ("terminate", 1),
        ],
    );
    let inserts = [("watched", 6), ("guarded", 3), ("rewritten", 1)];
    assert_series(&numbers, "pgabsorb_inserts_total", &inserts);
    let commands = [
        ("savepoint", 3),
        ("release", 5),
        ("rollback_to", 2),
        ("lookup", 1),
        ("verify", 1),
        ("redo", 3),
    ];
    assert_series(&numbers, "pgabsorb_own_commands_total", &commands);
    assert_series(&numbers, "pgabsorb_redos_total", &[("succeeded", 2), ("failed", 1)]);
    // Six duplicates, one that showed, and the redo's own.
    assert_series(&numbers, "pgabsorb_server_errors_total", &[("22", 1), ("23", 8)]);
    assert_series(&numbers, "pgabsorb_sessions_ended_total", &[("closed", 1)]);
    let waits = |kind: &str| {
        numbers.of(&format!("pgabsorb_own_round_trip_seconds_count{{kind=\"{kind}\"}}"))
    };
    assert_eq!((waits("lookup"), waits("verify"), waits("undo"), waits("redo")), (1, 1, 1, 3));
    assert!(numbers.of("pgabsorb_turn_seconds_count") > 0);
}

#[test]
fn each_way_that_a_session_ends_is_counted_and_all_of_them_are() {
    let upstream = Upstream::bind();
    let mut proxy = upstream.proxy(ADMIN);
    let gone = |proxy: &Process, reason: &str| {
        let series = format!("pgabsorb_sessions_ended_total{{reason=\"{reason}\"}}");
        wait_until(reason, || Numbers::read(proxy).of(&series) == 1);
    };
    let (mut client, mut backend) = upstream.session(&proxy);
    client.send(&terminate());
    assert_eq!(backend.message(), b'X');
    drop(backend);
    gone(&proxy, "closed");
    let (_client, mut backend) = upstream.session(&proxy);
    backend.send(&super::fake::fatal("57P01", "bye"));
    drop(backend);
    gone(&proxy, "server_fatal");
    let (_client, backend) = upstream.session(&proxy);
    drop(backend);
    gone(&proxy, "server_closed");
    let (_client, backend) = upstream.session(&proxy);
    backend.reset();
    gone(&proxy, "server_lost");
    let (_client, mut backend) = upstream.session(&proxy);
    backend.send(&[b'C', 0, 0, 0, 1]);
    gone(&proxy, "protocol_violation");
    let numbers = Numbers::read(&proxy);
    assert_series(&numbers, "pgabsorb_server_errors_total", &[("57", 1)]);
    let all: u64 = numbers.all("pgabsorb_sessions_ended_total").values().sum();
    assert_eq!((all, numbers.of("pgabsorb_sessions_total")), (5, 5));
    proxy.signal("TERM");
    assert!(proxy.exit().success());
}

#[test]
fn messages_of_a_copy_are_counted_one_by_one() {
    let (database, proxy) = (Database::new(), proxy(ADMIN));
    database.sql(TABLES);
    let mut wire = session(&proxy, &database);
    wire.send(&query("COPY t FROM STDIN"));
    wire.until(b'G', 1);
    for row in 10..13 {
        wire.send(&message(b'd', format!("{row}\t{row}\n").as_bytes()));
    }
    wire.send(&message(b'c', b""));
    assert!(has(&wire.until(b'Z', 1), "COPY 3"));
    let numbers = Numbers::read(&proxy);
    let expected = [("query", 1), ("copy_data", 3), ("copy_done", 1)];
    assert_series(&numbers, "pgabsorb_messages_total", &expected);
}

#[test]
fn reloads_are_counted_by_their_result_and_rules_that_are_suspended_are_told() {
    let rule = |more: &str| format!("{ADMIN}[[rule]]\nid = 'r'\nconstraint = 'c'\n{more}");
    let proxy = proxy(&rule("expires = 2001-01-01"));
    let suspended = |reason: &str| {
        let series = format!("pgabsorb_rule_suspended{{reason=\"{reason}\",rule=\"r\"}}");
        Numbers::read(&proxy).of(&series)
    };
    assert_eq!((suspended("expired"), suspended("over_limit")), (1, 0));
    for (rules, said, times) in
        [(rule(""), "rules reloaded", 1), ("[[rule]]".to_owned(), "rules not reloaded", 1)]
    {
        proxy.write_rules(&rules);
        proxy.signal("HUP");
        proxy.output.wait_for(said, times);
    }
    assert_eq!(suspended("expired"), 0);
    let numbers = Numbers::read(&proxy);
    assert_series(&numbers, "pgabsorb_reloads_total", &[("success", 1), ("failure", 1)]);
}

#[test]
fn each_metric_is_documented_and_what_is_documented_is_there() {
    let (database, proxy) = (Database::new(), proxy(&format!("{ADMIN}{RULES}")));
    database.sql(TABLES);
    let mut wire = session(&proxy, &database);
    assert!(has(&wire.query("SET default_transaction_isolation = serializable"), "SET"));
    assert!(has(&wire.query("INSERT INTO b VALUES (1)"), "INSERT 0 0"));
    let (_, text) = get(&proxy, "/metrics");
    let docs = include_str!("../../../docs/operations.md");
    let rows: Vec<_> = docs.lines().filter(|line| line.starts_with("| `pgabsorb_")).collect();
    let mut names = HashSet::new();
    let mut kind = "";
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            kind = rest.rsplit(' ').next().unwrap();
        }
        if line.starts_with('#') {
            continue;
        }
        let (mut name, series) = line.split_at(line.find(['{', ' ']).unwrap());
        if kind == "histogram" {
            name = name.rsplit_once('_').unwrap().0;
        }
        names.insert(name);
        let row = rows.iter().find(|row| row.starts_with(&format!("| `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("{name} is not in docs/operations.md"));
        assert!(kind == "counter" || row.contains(&format!("{kind}:")), "{name} is a {kind}");
        let labels = series.split(['{', ',']).skip(1).map(|it| it.split('=').next().unwrap());
        for label in labels.filter(|label| *label != "le") {
            assert!(row.contains(&format!("`{label}`")), "{label} of {name}");
        }
    }
    assert_eq!(names.len(), rows.len(), "what is documented is there");
}

#[test]
fn a_client_that_is_not_logged_in_yet_is_told_apart() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(ADMIN);
    let mut client = Wire::open(proxy.address());
    client.send(&startup(&[]));
    let _backend = upstream.accept();
    wait_until("the client waits", || {
        Numbers::read(&proxy).of("pgabsorb_sessions_by_state{state=\"login\"}") == 1
    });
}

#[test]
fn dashboard_and_alert_rules_ask_for_metrics_that_are_there() {
    let (database, proxy) = (Database::new(), proxy(&format!("{ADMIN}{RULES}")));
    database.sql(TABLES);
    session(&proxy, &database).query("INSERT INTO t VALUES (1)");
    let (_, text) = get(&proxy, "/metrics");
    let there: HashSet<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '))
        .flat_map(|(name, kind)| match kind {
            "histogram" => ["_bucket", "_sum", "_count"].map(|it| format!("{name}{it}")).to_vec(),
            _ => vec![name.to_owned()],
        })
        .collect();
    let dashboard = include_str!("../../../docs/grafana/pgabsorb.json");
    let parsed: serde_json::Value = serde_json::from_str(dashboard).unwrap();
    assert!(parsed["panels"].as_array().unwrap().len() > 10);
    let alerts = include_str!("../../../docs/prometheus/alerts.yml");
    for file in [dashboard, alerts] {
        let asked = named(file);
        assert!(asked.len() > 10, "{asked:?}");
        let missing: Vec<_> = asked.difference(&there).collect();
        assert!(missing.is_empty(), "{missing:?}");
    }
}

#[test]
fn alert_rules_are_whole_and_say_what_to_do() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/prometheus/alerts.yml");
    let program = "puts JSON.generate(YAML.safe_load(File.read(ARGV[0])))";
    let ruby = ["-ryaml", "-rjson", "-e", program, file];
    let output = Command::new("ruby").args(ruby).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let parsed: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = parsed["groups"][0]["rules"].as_array().unwrap();
    assert!(rules.len() > 10);
    for rule in rules {
        assert!(rule["alert"].as_str().unwrap().starts_with("Pgabsorb"), "{rule}");
        assert!(!rule["expr"].as_str().unwrap().is_empty(), "{rule}");
        assert!(rule["annotations"]["summary"].is_string(), "{rule}");
        let severity = rule["labels"]["severity"].as_str().unwrap();
        assert!(["critical", "warning"].contains(&severity), "{rule}");
    }
}

/// The metrics that a text names.
fn named(text: &str) -> HashSet<String> {
    let letter = |it: char| it.is_ascii_alphanumeric() || it == '_';
    let names = text.split(|it| !letter(it));
    names.filter(|it| it.starts_with("pgabsorb_")).map(str::to_owned).collect()
}
