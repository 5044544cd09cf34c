//! docs/rules.schema.json, as a validator reads it: what the program takes it takes, and it refuses what
//! an editor can see that the program refuses.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use pgabsorb::config::{Overrides, parse};

use crate::shell::process::command;

/// A server, for a text that names none.
const PROXY: &str = "proxy.upstream = 'db:1'\n";

#[test]
fn it_takes_what_is_right() {
    let mut right: Vec<_> = RIGHT.map(str::to_owned).into();
    right.extend(
        ["rules.toml", "README.md", "docs/rules.md", "docs/recipes.md", "docs/orms.md"]
            .map(files)
            .concat(),
    );
    assert!(right.len() > 20, "{}", right.len());
    for (text, complaints) in right.iter().zip(complaints(&right)) {
        let parsed = parse(text, &Overrides::default());
        assert!(parsed.is_ok(), "{text}\n{}", parsed.unwrap_err().in_file("it"));
        assert_eq!(complaints, "", "{text}");
    }
}

#[test]
fn it_refuses_what_is_wrong() {
    let text = |wrong: &&str| {
        if wrong.contains("upstream") { (*wrong).to_owned() } else { format!("{PROXY}{wrong}") }
    };
    let wrong: Vec<_> = WRONG.iter().map(text).collect();
    for (text, complaints) in wrong.iter().zip(complaints(&wrong)) {
        assert!(parse(text, &Overrides::default()).is_err(), "{text}");
        assert_ne!(complaints, "", "{text}");
    }
}

#[test]
fn the_program_prints_it() {
    let printed = command().arg("schema").output().unwrap();
    let schema = fs::read(root().join("docs/rules.schema.json")).unwrap();
    assert!(printed.status.success() && printed.stdout == schema);
}

/// The rules files of a page.
fn files(page: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join(page)).unwrap();
    if page.ends_with("toml") {
        return vec![text];
    }
    let blocks = text.split("```toml\n").skip(1).map(|it| it.split("```").next().unwrap());
    let whole = blocks.filter(|it| it.contains("[[rule]]") || it.contains("[proxy]"));
    let file =
        |it: &str| if it.contains("[proxy]") { it.to_owned() } else { format!("{PROXY}{it}") };
    whole.map(file).collect()
}

/// What a validator says of each text: nothing, if it is right.
fn complaints(texts: &[String]) -> Vec<String> {
    let mut validator = Command::new(root().join("target/drivers-venv/bin/python"))
        .arg(root().join("tests/drivers/validate_rules.py"))
        .arg(root().join("docs/rules.schema.json"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let texts_in = serde_json::to_string(texts).unwrap();
    validator.stdin.take().unwrap().write_all(texts_in.as_bytes()).unwrap();
    let output = validator.wait_with_output().unwrap();
    assert!(output.status.success());
    let complaints: Vec<String> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(complaints.len(), texts.len());
    complaints
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A rule that is right, for what comes behind it.
macro_rules! rule {
    ($rest:literal) => {
        concat!("[[rule]]\nid = 'r'\nconstraint = 'c'\n", $rest)
    };
}

const RIGHT: [&str; 7] = [
    "proxy.upstream = 'db:1'\nproxy.reuse_port = true\n[[rule]]\nid = 'r'\nconstraint = 'c'\n[[rule.test]]\nstatement = 's'\nexpect = 'shown'\n",
    "[proxy]\nlisten = ['[::1]:1', 'unix:/run/x:5432', '0.0.0.0:0']\nupstream = 'db:5432'\n",
    "proxy.upstream = 'db:1'\nadmin.listen = '[::1]:9432'\n",
    "proxy.upstream = 'db:1'\nadmin.listen = 'LocalHost:9432'\n",
    "proxy.upstream = 'db:1'\n[limits]\nconnections = 0x10\nconnect_timeout = '1m 30s'\ninspect = '16MB'\n",
    "proxy.upstream = 'db:1'\n[client_tls]\nmode = 'disable'\n[server_tls]\nmode = 'disable'\n",
    "proxy.upstream = 'db:1'\n[[rule]]\nid = 'r'\nconstraint = 'c*'\non_conflict = 'update'\nset = ['*']\n",
];

const WRONG: &[&str] = &[
    "proxy.upstream = 1",
    "proxy.upstream = 'nowhere'",
    "proxy.upstream = 'db:1'\nproxy.listen = []",
    "proxy.upstream = 'db:1'\nproxy.listen = ['a:1', 'a:1']",
    "proxy.upstream = 'db:1'\nproxy.lisen = 'a:1'",
    "[elsewhere]",
    "log.format = 'xml'",
    "log.file = '/var/log/'",
    "limits.connections = 0",
    "limits.connections = '10'",
    "limits.connect_timeout = '10'",
    "limits.connect_timeout = 10",
    "limits.inspect = '65536'",
    "[admin]",
    "admin.listen = '0.0.0.0:9432'",
    "defaults.action = 'alert'",
    "auth.mode = 'scram'",
    "[auth]\nmode = 'relay'\nusers = '/u'",
    "client_tls.mode = 'require'",
    "[client_tls]\nmode = 'disable'\nclient_certificate = 'require'",
    "server_tls.mode = 'verify-full'",
    "[server_tls]\nmode = 'require'\nca = '/ca'",
    "[server_tls]\nmode = 'require'\nkey = '/k'",
    "[client_tls]\nmode = 'allow'\ncertificate = '/c'\nkey = '/k'\n[server_tls]\nmode = 'prefer'",
    "rule = 1",
    "[rule]\nid = 'r'\nconstraint = 'c'",
    "[[rule]]\nid = 'r'",
    "[[rule]]\nconstraint = 'c'",
    "[[rule]]\nid = 'R'\nconstraint = 'c'",
    "[[rule]]\nid = 'r'\nconstraint = '*?*'",
    rule!("schema = 'pg_catalog'"),
    rule!("table = ''"),
    rule!("users = []"),
    rule!("users = ['']"),
    rule!("action = 'absorbed'"),
    rule!("on_conflict = 'update'"),
    rule!("set = 'a'"),
    rule!("on_conflict = 'update'\nset = ['a', '*']"),
    rule!("expires = 2027"),
    rule!("expires = 2027-01-01T00:00:00Z"),
    rule!("max_absorbed_per_minute = -1"),
    rule!("owner = ''"),
    rule!("colour = 'red'"),
    rule!("test = 1"),
    rule!("[[rule.test]]\nstatement = 's'"),
    rule!("[[rule.test]]\nstatement = 's'\nexpect = 'hidden'"),
    "proxy.upstream = 'db:1'\nproxy.reuse_port = 'yes'",
];
