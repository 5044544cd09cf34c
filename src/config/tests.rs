mod admin;
mod answers;
mod any;
mod docs;
mod rule_tests;
mod schema;
mod tls;

use super::*;
use crate::rules::{Action, AffectedRows, Column, Constraint, OnConflict, Origin, Returning};

const SAMPLE: &str = include_str!("../../rules.toml");

/// A file that is good before `[[rule]]` begins.
const PROXY: &str = "proxy.upstream = \"127.0.0.1:5432\"\n";

fn parse(text: &str) -> Result<Config, Mistakes> {
    super::parse(text, &Overrides::default())
}

fn mistakes(text: &str) -> Vec<String> {
    match parse(text) {
        Ok(config) => panic!("{text:?} is good: {config:?}"),
        Err(mistakes) => mistakes.iter().map(Mistake::to_string).collect(),
    }
}

fn tcp(host: &str, port: u16) -> Address {
    Address::Tcp { host: host.into(), port }
}

#[test]
fn the_sample_loads_and_lists_the_webhook_key() {
    let Config { settings, rules, .. } = parse(SAMPLE).unwrap();
    assert_eq!(settings.listen, [tcp("127.0.0.1", 7432)]);
    assert_eq!(settings.upstream, [tcp("127.0.0.1", 5432)]);
    assert_eq!(settings.target_session_attrs, TargetSessionAttrs::Any);
    assert_eq!(settings.log, Log { format: LogFormat::Text, ..Log::default() });
    assert_eq!(settings.limits, Limits::default());
    let constraint = Constraint {
        schema: "public".into(),
        table: "webhook_events".into(),
        name: "webhook_events_pkey".into(),
    };
    let rule = rules.find(&constraint, &Origin::default()).unwrap();
    assert_eq!(rule.id.as_str(), "webhook-replays");
    assert_eq!(rule.owner.as_deref(), Some("payments"));
    assert!(rule.reason.is_some());
    assert_eq!(rules.rules().len(), 1);
}

/// The sample with every commented line that is a key or a header taken in.
fn sample_uncommented() -> String {
    let prose = |line: &str| !(line.contains(" = ") || line.starts_with("# ["));
    let lines = SAMPLE.lines().filter(|line| !line.starts_with('#') || !prose(line));
    lines.map(|line| line.trim_start_matches("# ").to_owned() + "\n").collect()
}

#[test]
fn the_samples_comments_are_right_too() {
    let config = parse(&sample_uncommented()).unwrap_or_else(|it| panic!("{}", it.in_file("")));
    assert_eq!(config.settings.limits, Limits::default());
    assert_eq!(config.settings.log.file.unwrap().to_str(), Some("/var/log/pgabsorb/conflicts.log"));
    let actions: Vec<_> = config.rules.rules().iter().map(|rule| rule.action).collect();
    assert_eq!(actions, [Action::Absorb, Action::Observe, Action::Alert]);
}

#[test]
fn what_is_left_out_has_a_default() {
    let Config { settings, rules, .. } = parse(PROXY).unwrap();
    assert_eq!(settings.listen, [tcp("127.0.0.1", 7432)]);
    assert_eq!(settings.log.format, LogFormat::Json);
    assert_eq!(settings.log.key_values, KeyValues::Hide);
    assert_eq!(settings.log.level, LogLevel::Info);
    assert_eq!(settings.log.file, None);
    assert_eq!(settings.limits.connections, 1000);
    assert_eq!(settings.limits.connect_timeout, Duration::from_secs(10));
    assert_eq!(settings.limits.startup_timeout, Duration::from_mins(1));
    assert_eq!(settings.limits.inspect, 1024 * 1024);
    assert!(rules.is_empty());
}

#[test]
fn every_setting_is_read() {
    let text = r#"
        [proxy]
        listen = ["[::]:6000", "unix:/run/pgabsorb:5432"]
        upstream = ["db.internal:5433", "unix:/run/postgresql:5432"]
        target_session_attrs = "read-write"
        reuse_port = true
        [log]
        format = "text"
        key_values = "hash"
        file = "a.log"
        level = "trace"
        [limits]
        connections = 0x10
        connections_per_address = 3
        logins = 4
        connect_timeout = "1m 30s"
        startup_timeout = "500ms"
        inspect = "16 MB"
        drain_delay = "0s"
        drain_timeout = "1m 30s"
    "#;
    let settings = parse(text).unwrap().settings;
    assert!(settings.reuse_port);
    let socket = Address::Unix { path: "/run/pgabsorb/.s.PGSQL.5432".into() };
    assert_eq!(settings.listen, [tcp("::", 6000), socket]);
    let socket = "unix:/run/postgresql:5432".parse().unwrap();
    assert_eq!(settings.upstream, [tcp("db.internal", 5433), socket]);
    assert_eq!(settings.target_session_attrs, TargetSessionAttrs::ReadWrite);
    let log = Log {
        format: LogFormat::Text,
        key_values: KeyValues::Hash,
        file: Some("a.log".into()),
        level: LogLevel::Trace,
    };
    assert_eq!(settings.log, log);
    let limits = Limits {
        connections: 16,
        connections_per_address: Some(3),
        logins: 4,
        connect_timeout: Duration::from_secs(90),
        startup_timeout: Duration::from_millis(500),
        inspect: 16_000_000,
        drain_delay: Duration::ZERO,
        drain_timeout: Duration::from_secs(90),
    };
    assert_eq!(settings.limits, limits);
}

#[test]
fn every_key_of_a_rule_is_read() {
    let text = r#"
        [[rule]]
        id = "r"
        constraint = "c_*"
        schema = "s"
        table = "t"
        databases = "d"
        users = ["u", "v"]
        application_names = ["a"]
        action = "alert"
        strategy = "react"
        on_conflict = "update"
        set = ["a", "B c"]
        returning = "existing"
        affected_rows = "requested"
        owner = "o"
        reason = "because"
    "#;
    let rules = parse(&(PROXY.to_owned() + text)).unwrap().rules;
    let rule = &rules.rules()[0];
    let shown = |globs: &[crate::rules::Glob]| globs.iter().map(ToString::to_string).collect();
    let lists: [Vec<String>; 3] =
        [shown(&rule.databases), shown(&rule.users), shown(&rule.application_names)];
    assert_eq!((rule.id.as_str(), rule.constraint.as_str()), ("r", "c_*"));
    assert_eq!(rule.schema.as_ref().unwrap().as_str(), "s");
    assert_eq!(rule.table.as_ref().unwrap().as_str(), "t");
    assert_eq!(lists, [vec!["d"], vec!["u", "v"], vec!["a"]]);
    assert_eq!(rule.action, Action::Alert);
    let set = ["a", "B c"].map(|it| Column::new(it).unwrap()).to_vec();
    assert_eq!(rule.on_conflict, OnConflict::Update(set));
    assert_eq!(rule.returning, Returning::Existing);
    assert_eq!(rule.affected_rows, AffectedRows::Requested);
    assert_eq!(rule.owner.as_deref(), Some("o"));
    assert_eq!(rule.reason.as_deref(), Some("because"));
}

#[test]
fn the_command_line_takes_the_place_of_the_file() {
    let overrides =
        Overrides { listen: vec![tcp("127.0.0.1", 0)], upstream: vec![tcp("10.0.0.1", 5432)] };
    for text in ["", PROXY, "[proxy]\nlisten = \"127.0.0.1:1\"\n"] {
        let settings = super::parse(text, &overrides).unwrap().settings;
        assert_eq!(settings.listen, overrides.listen, "{text}");
        assert_eq!(settings.upstream, overrides.upstream, "{text}");
    }
    let wrong = super::parse("[proxy]\nupstream = \"nowhere\"\n", &overrides).unwrap_err();
    assert_eq!(wrong.len(), 1, "what is overridden is still checked");
}

#[test]
fn sections_and_types_that_are_wrong_are_told() {
    let missing = "upstream is missing in [proxy]; write it like upstream = \"127.0.0.1:5432\"";
    let table: &[(&str, &[&str])] = &[
        ("", &[&format!("1:1: {missing}")]),
        ("\n[proxy]\n", &[&format!("2:2: {missing}")]),
        (
            "proxy = 5",
            &["1:1: [proxy] must be a table, not an integer", &format!("1:1: {missing}")],
        ),
        (
            "[prox]\nupstream = \"a:1\"",
            &[&format!("1:1: {missing}"), "1:2: unknown section \"prox\"; did you mean \"proxy\"?"],
        ),
        (
            "upstream = \"a:1\"",
            &[
                &format!("1:1: {missing}"),
                "1:1: unknown section \"upstream\"; it belongs in [proxy]",
            ],
        ),
        (
            "[database]",
            &[
                &format!("1:1: {missing}"),
                "1:2: unknown section \"database\"; known are proxy, client_tls, server_tls, auth, log, limits, admin, defaults, rule",
            ],
        ),
    ];
    for (text, expected) in table {
        let mut found = mistakes(text);
        found.sort();
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn each_mistake_in_a_section_has_its_message_and_position() {
    let table = [
        ("[log]\nformt = \"json\"", r#"3:1: unknown key "formt" in [log]; did you mean "format"?"#),
        (
            "[log]\ncolour = 1",
            r#"3:1: unknown key "colour" in [log]; known are format, key_values, file, level"#,
        ),
        (
            "[log]\n  inspect = \"1MiB\"",
            r#"3:3: unknown key "inspect" in [log]; it belongs in [limits]"#,
        ),
        ("[log]\nformat = \"jsn\"", r#"3:10: format "jsn" is not known; did you mean "json"?"#),
        ("[log]\nformat = \"JSON\"", r#"3:10: format "JSON" is not known; did you mean "json"?"#),
        ("[log]\nformat = true", r#"3:10: format must be "json" or "text", not a boolean"#),
        (
            "[log]\nkey_values = \"secret\"",
            r#"3:14: key_values "secret" is not known; known are hide, hash, show"#,
        ),
        (
            "[log]\nlevel = \"warning\"",
            r#"3:9: level "warning" is not known; known are error, warn, info, debug, trace"#,
        ),
        ("[log]\nfile = \"\"", "3:8: file is empty; give it a value or leave the key out"),
        ("[log]\nfile = \"/var/log/\"", r#"3:8: file "/var/log/" is not the path of a file"#),
        (
            "[limits]\nconnections = 0",
            r#"3:15: connections "0" is out of range: from 1 to 1000000"#,
        ),
        (
            "[limits]\nconnections = -1",
            r#"3:15: connections "-1" is out of range: from 1 to 1000000"#,
        ),
        ("[limits]\nconnections = \"9\"", "3:15: connections must be an integer, not a string"),
        (
            "[limits]\nconnect_timeout = 10",
            r#"3:19: connect_timeout must be a duration like "10s", not an integer"#,
        ),
        (
            "[limits]\nconnect_timeout = \"10\"",
            r#"3:19: connect_timeout "10" is not a duration; write it like "10s" or "1m 30s""#,
        ),
        (
            "[limits]\nstartup_timeout = \"0s\"",
            r#"3:19: startup_timeout "0s" is out of range: from 1ms to 1day"#,
        ),
        (
            "[limits]\nstartup_timeout = \"2days\"",
            r#"3:19: startup_timeout "2days" is out of range: from 1ms to 1day"#,
        ),
        ("[limits]\ninspect = 1024", r#"3:11: inspect must be a size like "1MiB", not an integer"#),
        (
            "[limits]\ninspect = \"65536\"",
            r#"3:11: inspect "65536" is not a size; write it like "64KiB" or "1MiB""#,
        ),
        (
            "[limits]\ninspect = \"big\"",
            r#"3:11: inspect "big" is not a size; write it like "64KiB" or "1MiB""#,
        ),
        (
            "[limits]\ninspect = \"15KiB\"",
            r#"3:11: inspect "15KiB" is out of range: from 16.0 KiB to 1.0 GiB"#,
        ),
        (
            "[limits]\ninspect = \"2GiB\"",
            r#"3:11: inspect "2GiB" is out of range: from 16.0 KiB to 1.0 GiB"#,
        ),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(&format!("{PROXY}{text}")), [expected], "{text}");
    }
}

#[test]
fn each_mistake_in_an_address_has_its_message_and_position() {
    let table = [
        (
            "listen = []\nupstream = \"a:1\"",
            "2:10: listen is empty; give it a value or leave the key out",
        ),
        (
            "listen = [\"a:1\", 5]\nupstream = \"b:1\"",
            "2:18: listen must be an address or a list of them, not an integer",
        ),
        ("listen = [\"a:1\", \"a:1\"]\nupstream = \"b:1\"", r#"2:18: listen names "a:1" twice"#),
        (
            "listen = \"*:1\"\nupstream = \"b:1\"",
            r#"2:10: listen "*:1" has * for a host; write 0.0.0.0 for all IPv4 addresses or [::] for all addresses"#,
        ),
        (
            "listen = \"a:1\"\nupstream = \"a:1\"",
            "3:12: upstream is a:1, where the proxy itself listens",
        ),
        (
            "listen = \"b:1\"\nupstream = [\"a:1\", \"b:1\"]",
            "3:20: upstream is b:1, where the proxy itself listens",
        ),
        ("upstream = \"\"", "2:12: upstream is empty; give it a value or leave the key out"),
        ("upstream = \"a:0\"", r#"2:12: upstream "a:0" has port 0, where no server is"#),
        ("upstream = \"a\"", r#"2:12: upstream "a" has no port; write "host:port""#),
        (
            "target_session_attrs = \"read-wrote\"\nupstream = \"a:1\"",
            r#"2:24: target_session_attrs "read-wrote" is not known; did you mean "read-write"?"#,
        ),
        ("upstream = [\"a:1\", \"a:1\"]", r#"2:20: upstream names "a:1" twice"#),
        ("upstream = []", "2:12: upstream is empty; give it a value or leave the key out"),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(&format!("[proxy]\n{text}")), [expected], "{text}");
    }
}

#[test]
fn each_mistake_in_a_rule_has_its_message_and_position() {
    let table = [
        (
            "constrain = 1",
            r#"5:1: unknown key "constrain" in [[rule]]; did you mean "constraint"?"#,
        ),
        (
            "database = \"a\"",
            r#"5:1: unknown key "database" in [[rule]]; did you mean "databases"?"#,
        ),
        ("Users = \"a\"", r#"5:1: unknown key "Users" in [[rule]]; did you mean "users"?"#),
        ("schema = \"\"", "5:10: schema is empty; give it a value or leave the key out"),
        ("schema = [\"a\"]", "5:10: schema must be a string, not a list"),
        (
            "schema = \"pg_catalog\"",
            r#"5:10: schema "pg_catalog" is never absorbed: the system catalogs are the server's own"#,
        ),
        (
            "table = \"a\\u0000\"",
            r#"5:9: table "a\0" holds a NUL, which no name in PostgreSQL does"#,
        ),
        ("databases = []", "5:13: databases is empty; give it a value or leave the key out"),
        (
            "databases = [\"a\", \"\"]",
            "5:19: databases is empty; give it a value or leave the key out",
        ),
        ("users = [\"a\", 7.5]", "5:15: users must be a string or a list of strings, not a float"),
        ("users = {}", "5:9: users must be a string or a list of strings, not a table"),
        (
            "users = 2026-01-01",
            "5:9: users must be a string or a list of strings, not a date or time",
        ),
        ("action = \"asborb\"", r#"5:10: action "asborb" is not known; did you mean "absorb"?"#),
        (
            "action = \"ignore\"",
            r#"5:10: action "ignore" is not known; known are absorb, observe, alert"#,
        ),
        (
            "expires = \"2027-01-01\"",
            "5:11: expires must be a date like 2026-12-31, without quotes, not a string",
        ),
        (
            "expires = 2027-01-01T10:00:00",
            r#"5:11: expires "2027-01-01T10:00:00" is not a date: write it like 2026-12-31"#,
        ),
        (
            "[defaults]\naction = \"alert\"",
            r#"6:10: action "alert" is not known; known are absorb, observe"#,
        ),
        (
            "max_absorbed_per_minute = -1",
            r#"5:27: max_absorbed_per_minute "-1" is out of range: from 0 to 1000000"#,
        ),
        ("[auth]", "5:2: mode is missing in [auth]; write it like mode = \"scram\""),
        ("[auth]", "5:2: mode is missing in [auth]; write it like mode = \"scram\""),
        ("owner = \"\"", "5:9: owner is empty; give it a value or leave the key out"),
        ("reason = 1", "5:10: reason must be a string, not an integer"),
        ("  é = 1", "5:3: invalid unquoted key, expected letters, numbers, `-`, `_`"),
    ];
    for (text, expected) in table {
        let found = mistakes(&format!("{PROXY}[[rule]]\nid = \"r\"\nconstraint = \"c\"\n{text}"));
        assert_eq!(found, [expected], "{text}");
    }
}

#[test]
fn each_mistake_in_the_names_of_a_rule_has_its_message_and_position() {
    let long = "x".repeat(64);
    let too_long = format!(
        "4:14: constraint {long:?} is longer than 63 bytes, to which PostgreSQL cuts every name"
    );
    let table = [
        (
            "id = \"a\"".to_owned(),
            r#"2:1: constraint is missing in [[rule]]; write it like constraint = "webhook_events_pkey""#,
        ),
        (
            "constraint = \"a\"".to_owned(),
            r#"2:1: id is missing in [[rule]]; write it like id = "webhook-replays""#,
        ),
        (
            "id = \"A b\"\nconstraint = \"a\"".to_owned(),
            r#"3:6: id "A b" is not an id: write 1 to 63 of a-z, 0-9, _ and -"#,
        ),
        (
            "id = \"a\"\nconstraint = \"**\"".to_owned(),
            r#"4:14: constraint "**" would list every constraint; write at least one character besides * and ?"#,
        ),
        (format!("id = \"a\"\nconstraint = \"{long}\""), &too_long),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(&format!("{PROXY}[[rule]]\n{text}")), [expected], "{text}");
    }
    let single = mistakes(&format!("{PROXY}[rule]\nid = \"a\""));
    assert_eq!(single, ["2:2: rule must be a list of tables, each headed [[rule]], not a table"]);
    let number = mistakes(&format!("{PROXY}rule = [1]"));
    assert_eq!(number, ["2:9: [[rule]] must be a table, not an integer"]);
}

#[test]
fn two_rules_that_cannot_both_be_meant_are_told() {
    let rule =
        |id: &str, rest: &str| format!("[[rule]]\nid = \"{id}\"\nconstraint = \"c\"\n{rest}\n");
    let of = |first: String, second: String| mistakes(&format!("{PROXY}{first}{second}"));
    let shadowed = ["6:1: rule \"b\" never matches: rule \"a\" in line 2 lists the same"];
    assert_eq!(of(rule("a", ""), rule("b", "action = \"alert\"")), shadowed);
    assert_eq!(of(rule("a", ""), rule("b", "users = \"u\"")), shadowed);
    let twice = ["7:6: id \"a\" is used already in line 3"];
    assert_eq!(of(rule("a", "users = \"u\""), rule("a", "users = \"v\"")), twice);
    let wrong = ["5:9: users must be a string or a list of strings, not an integer"];
    assert_eq!(of(rule("a", "users = 5"), rule("b", "")), wrong, "a wrong rule shadows nothing");
    assert!(parse(&format!("{PROXY}{}{}", rule("a", "users = \"u\""), rule("b", ""))).is_ok());
}

#[test]
fn all_mistakes_are_listed_in_the_order_of_the_file() {
    let text =
        "[limits]\ninspect = 5\n[[rule]]\nid = \"\"\naction = \"x\"\n[proxy]\nlisten = \":\"\n";
    let found = parse(text).unwrap_err().in_file("my rules.toml").to_string();
    let expected = [
        r#"my rules.toml:2:11: inspect must be a size like "1MiB", not an integer"#,
        r#"my rules.toml:3:1: constraint is missing in [[rule]]; write it like constraint = "webhook_events_pkey""#,
        "my rules.toml:4:6: id is empty; give it a value or leave the key out",
        r#"my rules.toml:5:10: action "x" is not known; known are absorb, observe, alert"#,
        r#"my rules.toml:6:2: upstream is missing in [proxy]; write it like upstream = "127.0.0.1:5432""#,
        r#"my rules.toml:7:10: listen ":" has no valid host; write a name or an IP address before the colon"#,
        "6 mistakes in my rules.toml",
    ];
    assert_eq!(found.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn what_is_not_toml_is_one_mistake() {
    let table = [
        ("[proxy\n", "1:7: unclosed table, expected `]`"),
        ("a = 1\na = 2\n", "2:1: duplicate key"),
        ("\u{feff}[log]\nx", "2:2: key with no value, expected `=`"),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(text), [expected], "{text}");
    }
}
