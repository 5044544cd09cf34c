//! `/metrics`: the numbers are those that the clients counted, in a form that is read strictly.

use std::collections::{BTreeMap, HashSet};
use std::thread;
use std::time::SystemTime;

use super::admin::{ADMIN, get};
use super::fake::Upstream;
use super::process::Process;
use super::{fatal, has, proxy, session};
use crate::support::postgres::Database;
use crate::support::wait_until;
use crate::support::wire::{
    Wire, message, query, ssl_request, startup, startup_version, terminate,
};

/// The numbers by name and labels: `name{key="value",...}`, with the labels in order.
pub struct Numbers(BTreeMap<String, u64>);

impl Numbers {
    pub fn read(proxy: &Process) -> Self {
        let (status, text) = get(proxy, "/metrics");
        assert_eq!(status, 200);
        parse(&text)
    }

    /// A number that is there.
    pub fn of(&self, name: &str) -> u64 {
        *self.0.get(name).unwrap_or_else(|| panic!("{name} in {:#?}", self.0))
    }

    /// The numbers of a metric that are not 0, by their labels.
    pub fn all(&self, name: &str) -> BTreeMap<&str, u64> {
        self.0
            .iter()
            .filter(|(_, number)| **number != 0)
            .filter_map(|(series, number)| {
                let labels = series.strip_prefix(name)?.strip_prefix('{')?.strip_suffix('}')?;
                Some((labels, *number))
            })
            .collect()
    }
}

/// The [text format](https://prometheus.io/docs/instrumenting/exposition_formats/), as strictly as
/// it is described: each metric is a HELP, a TYPE and its series in one piece, no series is there
/// twice, and the last line has an end too.
fn parse(text: &str) -> Numbers {
    let (mut numbers, mut seen) = (BTreeMap::new(), HashSet::new());
    let (mut help, mut current) = (String::new(), String::new());
    let mut is_histogram = false;
    for line in text.strip_suffix('\n').expect("a line's end").split('\n') {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, said) = rest.split_once(' ').unwrap();
            assert!(!said.is_empty() && seen.insert(name), "{line}");
            name.clone_into(&mut help);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            assert!(name == help && ["counter", "gauge", "histogram"].contains(&kind), "{line}");
            assert_eq!(name.ends_with("_total"), kind == "counter", "{line}");
            is_histogram = kind == "histogram";
            name.clone_into(&mut current);
        } else {
            let (series, number) = sample(line, is_histogram);
            let name = series.split('{').next().unwrap();
            let parts = ["_bucket", "_sum", "_count"];
            let part = parts.iter().find_map(|part| name.strip_suffix(part));
            assert_eq!(part.filter(|_| is_histogram).unwrap_or(name), current, "{line}");
            assert!(numbers.insert(series, number).is_none(), "twice: {line}");
        }
    }
    Numbers(numbers)
}

/// `name{key="value",...} number`; of a sum the seconds alone.
fn sample(line: &str, is_histogram: bool) -> (String, u64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    assert!(name.starts_with("pgabsorb_"), "{line}");
    assert!(name.bytes().all(|it| it.is_ascii_lowercase() || it == b'_'), "{line}");
    let mut labels = Vec::new();
    while let Some(label) = rest.strip_prefix(['{', ',']) {
        let (key, value) = label.split_once("=\"").unwrap();
        assert!(key.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit()), "{line}");
        let end = closing_quote(value);
        labels.push(format!("{key}=\"{}\"", &value[..end]));
        rest = &value[end + 1..];
    }
    let number = if labels.is_empty() { rest } else { rest.strip_prefix('}').unwrap() };
    let number = number.strip_prefix(' ').unwrap();
    let number = match number.split_once('.') {
        Some((seconds, _)) if is_histogram && name.ends_with("_sum") => seconds,
        _ => number,
    };
    assert!(number.bytes().all(|it| it.is_ascii_digit()), "{line}");
    labels.sort();
    let labels =
        if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    (format!("{name}{labels}"), number.parse().unwrap())
}

/// Where a label's value ends; a backslash in it is followed by a backslash, a quote or an n.
fn closing_quote(value: &str) -> usize {
    let mut escaped = false;
    for (at, letter) in value.char_indices() {
        match letter {
            _ if escaped => {
                assert!(matches!(letter, '\\' | '"' | 'n'), "{value}");
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => return at,
            _ => assert!(!letter.is_control(), "{value}"),
        }
    }
    panic!("no end of {value}");
}

const TABLES: &str = "
    CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
    CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1);
    CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
    CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1);
    CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1);
    CREATE VIEW v AS SELECT * FROM b";

const RULES: &str = "
    [[rule]]
    id = 'the-t'
    constraint = 't_pkey'
    [[rule]]
    id = 'watched'
    constraint = 'o_pkey'
    action = 'observe'
    [[rule]]
    id = 'never'
    constraint = 'a_pkey'
    action = 'alert'
    [[rule]]
    id = 'bulk'
    constraint = 'b_pkey'
    strategy = 'rewrite'
    [[rule]]
    id = 'unused'
    constraint = 'no_pkey'
";

/// What a session plays: the text, how often, and whether the client sees its error.
const PLAY: [(&str, u32, bool); 7] = [
    ("INSERT INTO t VALUES (1)", 5, false),
    ("INSERT INTO t VALUES (1) RETURNING id", 2, false),
    ("UPDATE t SET id = 1 WHERE id = 2", 3, true),
    ("INSERT INTO o VALUES (1)", 4, true),
    ("INSERT INTO a VALUES (1)", 1, true),
    ("INSERT INTO b VALUES (1)", 6, false),
    ("INSERT INTO u VALUES (1)", 2, true),
];

#[test]
fn conflicts_are_those_that_the_clients_have_counted() {
    let (database, proxy) = (Database::new(), proxy(&format!("{ADMIN}{RULES}")));
    database.sql(TABLES);
    let before = Numbers::read(&proxy);
    assert_eq!(before.all("pgabsorb_conflicts_total"), BTreeMap::new());
    let began = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut wire = session(&proxy, &database);
                for (text, times, fails) in PLAY {
                    for _ in 0..times {
                        let reply = wire.query(text);
                        assert_eq!(has(&reply, "C23505"), fails, "{reply:?}");
                        assert_eq!(has(&reply, "INSERT 0 0"), !fails, "{reply:?}");
                    }
                }
            });
        }
    });

    let after = Numbers::read(&proxy);
    let conflicts = [
        (r#"outcome="absorbed",reason="",rule="bulk",strategy="rewrite""#, 24),
        (r#"outcome="absorbed",reason="",rule="the-t",strategy="react""#, 28),
        (r#"outcome="alert",reason="",rule="never",strategy="""#, 4),
        (r#"outcome="observed",reason="",rule="watched",strategy="react""#, 16),
        (r#"outcome="shown",reason="not_insert",rule="the-t",strategy="""#, 12),
        (r#"outcome="shown",reason="not_listed",rule="",strategy="""#, 8),
    ];
    assert_eq!(after.all("pgabsorb_conflicts_total"), BTreeMap::from(conflicts));
    let constraints = [
        (r#"constraint="a_pkey",outcome="alert",schema="public",table="a""#, 4),
        (r#"constraint="b_pkey",outcome="absorbed",schema="public",table="b""#, 24),
        (r#"constraint="o_pkey",outcome="observed",schema="public",table="o""#, 16),
        (r#"constraint="t_pkey",outcome="absorbed",schema="public",table="t""#, 28),
        (r#"constraint="t_pkey",outcome="shown",schema="public",table="t""#, 12),
        (r#"constraint="u_pkey",outcome="shown",schema="public",table="u""#, 8),
    ];
    assert_eq!(after.all("pgabsorb_conflicts_by_constraint_total"), BTreeMap::from(constraints));

    let hits = after.all("pgabsorb_rule_last_hit_timestamp_seconds");
    let rules: Vec<_> = hits.keys().copied().collect();
    assert_eq!(rules, ["bulk", "never", "the-t", "watched"].map(|it| format!("rule=\"{it}\"")));
    let ended = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(hits.values().all(|at| (began..=ended).contains(at)), "{hits:?}");
    assert_eq!(after.of("pgabsorb_rule_last_hit_timestamp_seconds{rule=\"unused\"}"), 0);
    assert_eq!(after.of("pgabsorb_rules"), 5);
    assert_eq!(after.all("pgabsorb_build_info").len(), 1);
}

#[test]
fn sessions_and_their_bytes_are_counted_one_by_one() {
    let (database, proxy) = (Database::new(), proxy(ADMIN));
    let mut sent = 0;
    let mut received = 0;
    let mut wires = Vec::new();
    for number in 1..=3 {
        let mut wire = Wire::open(proxy.address());
        wire.send(&startup(&[("database", &database.name)]));
        let mut messages = wire.until(b'Z', 1);
        let text = format!("SELECT repeat('x', {number}00000)");
        sent += query(&text).len() as u64;
        messages.extend(wire.query(&text));
        received += messages.iter().map(|it| it.body.len() as u64 + 5).sum::<u64>();
        wires.push(wire);
        let numbers = Numbers::read(&proxy);
        assert_eq!(numbers.of("pgabsorb_sessions"), number);
        assert_eq!(numbers.of("pgabsorb_sessions_total"), number);
        assert_eq!(numbers.of("pgabsorb_bytes_total{direction=\"from_client\"}"), sent);
        assert_eq!(numbers.of("pgabsorb_bytes_total{direction=\"from_server\"}"), received);
    }
    for mut wire in wires {
        wire.send(&terminate());
        assert!(wire.rest().0.is_empty());
    }
    let numbers = Numbers::read(&proxy);
    assert_eq!(numbers.of("pgabsorb_sessions"), 0);
    assert_eq!(numbers.of("pgabsorb_sessions_total"), 3);
}

#[test]
fn clients_that_get_no_session_are_counted_with_the_reason() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(&format!("{ADMIN}limits.connections = 1"));
    let refused = |packet: &[u8]| {
        let mut wire = Wire::open(proxy.address());
        wire.send(packet);
        fatal(&mut wire);
    };
    let (first, backend) = upstream.session(&proxy);
    refused(&startup(&[]));
    refused(&startup(&[]));
    drop((first, backend));
    wait_until("the session ends", || Numbers::read(&proxy).of("pgabsorb_sessions") == 0);
    drop(upstream);
    refused(&startup(&[]));
    let mut wire = Wire::open(proxy.address());
    for _ in 0..2 {
        wire.send(&ssl_request());
    }
    assert_eq!(wire.byte(), Some(b'N'));
    fatal(&mut wire);

    let numbers = Numbers::read(&proxy);
    let expected = [
        ("reason=\"repeated_request\"", 1),
        ("reason=\"server_unreachable\"", 1),
        ("reason=\"too_many_sessions\"", 2),
    ];
    assert_eq!(numbers.all("pgabsorb_sessions_refused_total"), BTreeMap::from(expected));
    assert_eq!(numbers.of("pgabsorb_sessions_refused_total{reason=\"server_timeout\"}"), 0);
    assert_eq!(numbers.of("pgabsorb_sessions_total"), 1);
}

#[test]
fn what_keeps_the_proxy_from_absorbing_is_counted() {
    let (database, proxy) = (Database::new(), proxy(&format!("{ADMIN}{RULES}")));
    database.sql(TABLES);
    let role = format!("blind_{}", database.name);
    database.sql(&format!(
        "CREATE ROLE {role} LOGIN; GRANT ALL ON t, b, v TO {role};
         REVOKE SELECT ON pg_catalog.pg_index FROM PUBLIC"
    ));
    let packet = startup_version(3 << 16, &[("user", &role), ("database", &database.name)]);
    let mut blind = Wire::connect(proxy.address(), &packet);
    assert!(has(&blind.query("INSERT INTO t VALUES (1)"), "C23505"));
    let numbers = Numbers::read(&proxy);
    assert_eq!(numbers.of("pgabsorb_catalog_lookups_failed_total"), 1);
    drop(blind);

    let mut wire = session(&proxy, &database);
    assert!(has(&wire.query("SET default_transaction_isolation = serializable"), "SET"));
    assert!(has(&wire.query("INSERT INTO b VALUES (1)"), "INSERT 0 0"));
    let numbers = Numbers::read(&proxy);
    let expected = [("reason=\"isolation\"", 1)];
    assert_eq!(numbers.all("pgabsorb_not_rewritten_total"), BTreeMap::from(expected));
    drop(wire);
    database.sql(&format!("DROP OWNED BY {role}; DROP ROLE {role}"));
}

#[test]
fn a_session_that_is_out_of_step_is_counted_once() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(&format!("{ADMIN}{RULES}"));
    let (mut client, mut backend) = upstream.session(&proxy);
    for _ in 0..2 {
        backend.send(&message(b'C', b"INSERT 0 1\0"));
        assert_eq!(client.message().unwrap().tag, b'C');
    }
    assert_eq!(Numbers::read(&proxy).of("pgabsorb_out_of_step_total"), 1);
}

#[test]
fn names_cannot_forge_a_number() {
    let (database, proxy) = (Database::new(), proxy(ADMIN));
    let evil = "we\\ird\"} 1\npgabsorb_rules 7\r\u{1b}ü";
    let quoted = evil.replace('"', "\"\"");
    database.sql(&format!(
        "CREATE TABLE \"{quoted}\" (id int CONSTRAINT \"{quoted}c\" PRIMARY KEY);
         INSERT INTO \"{quoted}\" VALUES (1)"
    ));
    let parameters = [("database", &*database.name), ("client_encoding", "utf8")];
    let mut wire = Wire::connect(proxy.address(), &startup(&parameters));
    assert!(has(&wire.query(&format!("INSERT INTO \"{quoted}\" VALUES (1)")), "C23505"));
    let numbers = Numbers::read(&proxy);
    let found = numbers.all("pgabsorb_conflicts_by_constraint_total");
    let (labels, number) = found.first_key_value().unwrap();
    assert!(found.len() == 1 && *number == 1, "{found:?}");
    assert!(
        labels.contains("table=\"we\\\\ird\\\"} 1\u{fffd}pgabsorb_rules 7\u{fffd}"),
        "{labels}"
    );
    assert_eq!(numbers.of("pgabsorb_rules"), 0);
}

#[test]
fn rules_that_are_read_anew_are_counted_beside_those_of_before() {
    let (database, proxy) = (Database::new(), proxy(&format!("{ADMIN}{RULES}")));
    database.sql(TABLES);
    let mut wire = session(&proxy, &database);
    assert!(has(&wire.query("INSERT INTO t VALUES (1)"), "INSERT 0 0"));
    proxy.write_rules(&format!("{ADMIN}[[rule]]\nid = 'other'\nconstraint = 't_pkey'"));
    proxy.signal("HUP");
    proxy.output.wait_for(r#""event":"rules reloaded""#, 1);
    let success = |proxy: &Process| Numbers::read(proxy).of("pgabsorb_config_last_reload_success");
    assert_eq!(success(&proxy), 1);
    let absorbed = |rule: &str| {
        let labels = format!(r#"outcome="absorbed",reason="",rule="{rule}",strategy="react""#);
        Numbers::read(&proxy).of(&format!("pgabsorb_conflicts_total{{{labels}}}"))
    };
    assert_eq!(absorbed("other"), 0);
    assert!(has(&wire.query("INSERT INTO t VALUES (1)"), "INSERT 0 0"));
    assert_eq!((absorbed("the-t"), absorbed("other")), (1, 1));
    assert_eq!(Numbers::read(&proxy).of("pgabsorb_rules"), 1);
    proxy.write_rules("[[rule]]");
    proxy.signal("HUP");
    proxy.output.wait_for("rules not reloaded", 1);
    assert_eq!(success(&proxy), 0);
}
