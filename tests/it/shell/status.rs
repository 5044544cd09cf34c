//! `/status`: the page says what clients have done, in a browser, whatever the names are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::admin::{ADMIN, get, place, request};
use super::process::Process;
use super::{has, proxy, session};
use crate::support::postgres::Database;

/// A name that would break out of each place it is put into.
const EVIL: &str = "</pre><script>alert(1)</script><img src=x onerror=alert(2)> \"'&";
const DECEPTIVE: &str = "</script>\u{202e}yekp_c\n*";

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
    id = 'over'
    constraint = 'gone_pkey'
    expires = 2001-01-01
";

/// The tables, with names that are quoted as SQL wants it.
fn tables() -> String {
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    format!(
        "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);
         CREATE TABLE o (id int PRIMARY KEY); INSERT INTO o VALUES (1);
         CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1);
         CREATE TABLE e1 (id int CONSTRAINT {} PRIMARY KEY); INSERT INTO e1 VALUES (1);
         CREATE TABLE e2 (id int CONSTRAINT {} PRIMARY KEY); INSERT INTO e2 VALUES (1)",
        quoted(EVIL),
        quoted(DECEPTIVE)
    )
}

/// What a session plays: the text, and how often.
const PLAY: [(&str, u32); 6] = [
    ("INSERT INTO t VALUES (1)", 5),
    ("UPDATE t SET id = 1 WHERE id = 2", 2),
    ("INSERT INTO o VALUES (1)", 4),
    ("INSERT INTO a VALUES (1)", 1),
    ("INSERT INTO e1 VALUES (1)", 3),
    ("INSERT INTO e2 VALUES (1)", 2),
];

/// Where pictures go, and the browser's files.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// What a browser finds on the page.
fn browse(proxy: &Process, name: &str) -> Value {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR"));
    let modules = repository.join("target/drivers-npm/node_modules/playwright-core");
    assert!(modules.exists(), "{} is missing: tests/run makes it", modules.display());
    let (pictures, profile) = (folder("status"), tempfile::tempdir().unwrap());
    let output = Command::new("timeout")
        .args(["--kill-after=5", "120", "node"])
        .arg(repository.join("tests/browser/status.js"))
        .arg(format!("http://{}/status", place(proxy)))
        .arg(&pictures)
        .arg(name)
        .arg(profile.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"))
}

#[test]
fn the_page_says_in_a_browser_what_clients_have_done_whatever_the_names_are() {
    let (database, proxy) = (Database::new(), proxy(&format!("{ADMIN}{RULES}")));
    database.sql(&tables());
    let mut wire = session(&proxy, &database);
    for (text, times) in PLAY {
        for _ in 0..times {
            wire.query(text);
        }
    }
    assert!(has(&wire.query("BEGIN"), "BEGIN"));
    let found = browse(&proxy, "full");
    assert_eq!((&found["lang"], &found["title"]), (&json!("en"), &json!("pgabsorb: ready")));
    assert_eq!(found["state"], "ready");
    let counts = |absorbed, observed, shown, alert| {
        json!({"absorbed": absorbed, "observed": observed, "shown": shown, "alert": alert,
               "left_out": 0})
    };
    let rules = json!({
        "the-t": counts(5, 0, 2, 0),
        "watched": counts(0, 4, 0, 0),
        "never": counts(0, 0, 0, 1),
        "over": counts(0, 0, 0, 0),
    });
    assert_eq!(found["rules"], rules);
    assert_eq!(found["suspended"], json!(["expired: only observes"]));
    assert_eq!(found["bars"], json!({"absorbed": 5, "observed": 4, "shown": 7, "alert": 1}));
    let states = json!({"login": 0, "idle": 0, "transaction": 1, "failed": 0, "unread": 0});
    assert_eq!(found["states"], states);
    assert_eq!(found["latest"].as_array().unwrap().len(), 17);
    assert_eq!((&found["images"], &found["scripts"]), (&json!(0), &json!(1)));
    assert_eq!((&found["notices"], &found["stays"]), (&json!([]), &json!(true)));

    let [first, second] = &found["unlisted"].as_array().unwrap()[..] else { panic!("{found}") };
    assert_eq!((&first["name"], &first["count"]), (&json!(&EVIL[..63.min(EVIL.len())]), &json!(3)));
    assert_eq!(second["name"], DECEPTIVE.replace(['\u{202e}', '\n'], "\u{fffd}"));
    // The rules that the page proposes are rules for just these.
    let stubs = [first, second].map(|it| it["stub"].as_str().unwrap().to_owned()).concat();
    drop(wire);
    proxy.write_rules(&format!("{ADMIN}{stubs}"));
    proxy.signal("HUP");
    proxy.output.wait_for("rules reloaded", 1);
    let mut wire = session(&proxy, &database);
    wire.query("INSERT INTO e1 VALUES (1)");
    wire.query("INSERT INTO e2 VALUES (1)");
    assert_eq!(proxy.output.wait_for(r#""outcome":"observed""#, 6).len(), 6);
}

#[test]
fn the_page_of_a_proxy_that_has_seen_nothing_and_has_a_broken_file_says_so() {
    let proxy = proxy(ADMIN);
    proxy.write_rules("[[rule]]\nid = '<b>'\n");
    proxy.signal("HUP");
    proxy.output.wait_for("rules not reloaded", 1);
    let found = browse(&proxy, "empty");
    assert_eq!((&found["rules"], &found["bars"]), (&json!({}), &json!({})));
    let notice = found["notices"][0].as_str().unwrap();
    assert!(notice.contains("those of before are in force") && notice.contains("<b>"), "{notice}");
}

#[test]
fn the_numbers_are_there_for_programs_too_and_keys_only_as_the_log_has_them() {
    for (setting, expected) in [("hide", None), ("show", Some("Key (id)=(1) already exists."))] {
        let rules = format!("{ADMIN}log.key_values = '{setting}'\n{RULES}");
        let (database, proxy) = (Database::new(), proxy(&rules));
        database.sql(&tables());
        let mut wire = session(&proxy, &database);
        for _ in 0..60 {
            wire.query("INSERT INTO t VALUES (1)");
        }
        let (status, text) = get(&proxy, "/status.json");
        let found: Value = serde_json::from_str(&text).unwrap();
        assert_eq!((status, &found["state"]), (200, &json!("ready")));
        assert_eq!(found["rules"][0]["conflicts"]["absorbed"], 60);
        let latest = found["latest"].as_array().unwrap();
        assert_eq!(latest.len(), 50);
        assert_eq!(latest[0]["key"].as_str(), expected);
        let (_, page) = get(&proxy, "/status");
        assert_eq!(page.contains("already exists"), expected.is_some());
    }
}

#[test]
fn the_page_may_load_nothing_and_run_nothing_but_its_own() {
    let proxy = proxy(ADMIN);
    for path in ["/status", "/status.json"] {
        let (status, head, body) = request(&proxy, &format!("GET {path}"));
        assert_eq!(status, 200);
        for line in [
            "content-security-policy: default-src 'none'; style-src 'sha256-",
            "cache-control: no-store",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
        ] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(!head.contains("unsafe"), "{head}");
        assert!(!body.contains("http://") && !body.contains("https://"), "{body}");
        let (status, head, body) = request(&proxy, &format!("HEAD {path}"));
        assert_eq!((status, &*body), (200, ""));
        assert!(!head.contains("content-length: 0"), "{head}");
        assert_eq!(request(&proxy, &format!("POST {path}")).0, 405);
    }
}
