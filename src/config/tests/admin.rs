//! `[admin]`: where metrics and health are told.

use super::{PROXY, mistakes, parse, tcp};
use crate::config::{Address, Overrides};

fn admin(listen: &str) -> String {
    format!("{PROXY}[admin]\nlisten = \"{listen}\"")
}

#[test]
fn nothing_is_told_unless_it_is_asked_for() {
    assert_eq!(parse(PROXY).unwrap().settings.admin, None);
}

#[test]
fn every_address_of_this_machine_alone_will_do() {
    let socket = || Address::Unix { path: "/run/pgabsorb/admin".into() };
    for (text, address) in [
        ("127.0.0.1:9432", tcp("127.0.0.1", 9432)),
        ("127.9.9.9:0", tcp("127.9.9.9", 0)),
        ("[::1]:9432", tcp("::1", 9432)),
        ("localhost:9432", tcp("localhost", 9432)),
        ("unix:/run/pgabsorb/admin", socket()),
    ] {
        assert_eq!(
            parse(&admin(text)).unwrap().settings.admin.map(|it| it.listen),
            Some(address),
            "{text}"
        );
    }
}

#[test]
fn what_others_can_reach_is_a_mistake() {
    for text in ["0.0.0.0:9432", "[::]:9432", "10.0.0.1:9432", "metrics.internal:9432"] {
        let expected = format!(
            "3:10: listen {text:?} can be reached from outside, and asks for no password; write a \
             loopback address like \"127.0.0.1:9432\", or \"unix:/path\""
        );
        assert_eq!(mistakes(&admin(text)), [expected]);
    }
}

#[test]
fn each_other_mistake_has_its_message_and_position() {
    let missing = "2:2: listen is missing in [admin]; write it like listen = \"127.0.0.1:9432\"";
    for (text, expected) in [
        ("[admin]", missing),
        ("admin = 9432", "2:1: [admin] must be a table, not an integer"),
        ("[admin]\nlisten = 9432", "3:10: listen must be an address, not an integer"),
        ("[admin]\nlisten = [\"a:1\"]", "3:10: listen must be an address, not a list"),
        ("[admin]\nlisten = \"\"", "3:10: listen is empty; give it a value or leave the key out"),
        (
            "[admin]\nlisten = \"127.0.0.1\"",
            r#"3:10: listen "127.0.0.1" has no port; write "host:port""#,
        ),
        (
            "[admin]\nlisten = \"[::1]:7432\"",
            "3:10: listen of [admin] is [::1]:7432, and 127.0.0.1:7432 is where [proxy] listens; \
             give it another port",
        ),
        (
            "[admin]\nlisten = \"127.0.0.1:5432\"",
            "1:18: upstream is 127.0.0.1:5432, where the proxy itself listens",
        ),
    ] {
        assert_eq!(mistakes(&format!("{PROXY}{text}")), [expected], "{text}");
    }
}

#[test]
fn the_address_must_not_be_one_that_the_command_line_gives_to_clients() {
    let collides = |admin: &str, listen: &str| {
        let text = format!("{PROXY}[admin]\nlisten = \"{admin}\"");
        let overrides = Overrides { listen: vec![listen.parse().unwrap()], upstream: Vec::new() };
        crate::config::parse(&text, &overrides).is_err()
    };
    assert!(collides("127.0.0.1:9432", "0.0.0.0:9432"));
    assert!(collides("unix:/run/a", "unix:/run/a"));
    assert!(!collides("127.0.0.1:7432", "127.0.0.1:9432"));
    assert!(!collides("127.0.0.1:0", "127.0.0.1:0"));
    assert!(!collides("unix:/run/a", "unix:/run/b"));
}
