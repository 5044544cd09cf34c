//! `[client_tls]` and `[server_tls]`.

use super::*;
use crate::config::{ClientTls, ServerMode, ServerTls};

const IDENTITY: &str = "certificate = \"c\"\nkey = \"k\"\n";

fn settings(text: &str) -> (Option<ClientTls>, Option<ServerTls>) {
    let settings = parse(&format!("{PROXY}\n{text}")).unwrap().settings;
    (settings.client_tls, settings.server_tls)
}

#[test]
fn there_is_none_unless_it_is_asked_for() {
    assert_eq!(settings(""), (None, None));
    let disabled = "[client_tls]\nmode = \"disable\"\n[server_tls]\nmode = \"disable\"\n";
    assert_eq!(settings(disabled), (None, None));
}

#[test]
fn each_leg_is_as_it_is_written() {
    let text = format!(
        "[client_tls]\nmode = \"require\"\n{IDENTITY}ca = \"r\"\nclient_certificate = \"require\"\n\
         [server_tls]\nmode = \"verify-full\"\nca = \"system\"\nname = \"db\"\n{IDENTITY}"
    );
    let (client, server) = settings(&text);
    let (client, server) = (client.unwrap(), server.unwrap());
    assert!(client.required && client.clients.unwrap().required);
    assert_eq!(server.identity, Some(client.identity));
    assert_eq!(server.mode, ServerMode::VerifyFull);
    assert_eq!((server.roots, server.name.as_deref()), (Some(Roots::System), Some("db")));
    let (client, _) = settings(&format!("[client_tls]\nmode = \"allow\"\n{IDENTITY}"));
    assert!(!client.unwrap().required);
}

#[test]
fn mistakes_are_told_where_they_are() {
    let ca = "ca is missing in [server_tls]; write it like ca = \"/etc/pgabsorb/root.crt\", or ca = \"system\"";
    let table: &[(&str, &[&str])] = &[
        (
            "[client_tls]",
            &["3:2: mode is missing in [client_tls]; write it like mode = \"require\""],
        ),
        (
            "[client_tls]\nmode = \"allow\"",
            &[
                "3:2: certificate is missing in [client_tls]; write it like certificate = \"/etc/pgabsorb/server.crt\"",
                "3:2: key is missing in [client_tls]; write it like key = \"/etc/pgabsorb/server.key\"",
            ],
        ),
        (
            "[client_tls]\nmode = \"disable\"\nclient_certificate = \"optional\"",
            &["5:22: client_certificate means nothing without ca"],
        ),
        ("[server_tls]\nmode = \"verify-ca\"", &[&format!("3:2: {ca}")]),
        (
            "[server_tls]\nmode = \"require\"\nca = \"system\"",
            &[
                "5:6: ca verifies nothing in mode \"require\"; write mode = \"verify-full\" or \"verify-ca\"",
            ],
        ),
        (
            "[server_tls]\nmode = \"prefer\"\nkey = \"k\"",
            &["5:7: key means nothing without certificate"],
        ),
        (
            "[server_tls]\nmode = \"verify\"",
            &[
                "4:8: mode \"verify\" is not known; known are disable, prefer, require, verify-ca, verify-full",
            ],
        ),
        (
            "[server_tls]\nmode = \"prefer\"\nname = \"a b\"",
            &[
                "5:8: name \"a b\" has no valid host; write a name or an IP address before the colon",
            ],
        ),
    ];
    for (text, expected) in table {
        assert_eq!(mistakes(&format!("{PROXY}\n{text}")), *expected, "{text}");
    }
}

#[test]
fn no_client_is_sent_into_plain_text_silently() {
    let text = format!(
        "{PROXY}\n[client_tls]\nmode = \"allow\"\n{IDENTITY}[server_tls]\nmode = \"prefer\"\n"
    );
    let found = mistakes(&text);
    assert!(found[0].starts_with("4:8: mode \"allow\" together with [server_tls]"), "{found:?}");
    assert_eq!(found.len(), 1);
    let scram = "[auth]\nmode = \"scram\"\nusers = \"u\"\n";
    assert!(parse(&(text + scram)).is_ok(), "here the proxy itself is what clients bind to");
}

#[test]
fn users_are_for_scram() {
    let read = |text: &str| parse(&format!("{PROXY}\n{text}")).unwrap().settings.users;
    assert_eq!(read("[auth]\nmode = \"relay\""), None);
    assert_eq!(read("[auth]\nmode = \"scram\"\nusers = \"u\""), Some("u".into()));
    for (text, expected) in [
        (
            "[auth]\nmode = \"scram\"",
            "3:2: users is missing in [auth]; write it like users = \"/etc/pgabsorb/userlist.txt\"",
        ),
        (
            "[auth]\nmode = \"relay\"\nusers = \"u\"",
            "5:9: users means nothing without mode = \"scram\"",
        ),
    ] {
        assert_eq!(mistakes(&format!("{PROXY}\n{text}")), [expected]);
    }
}

#[test]
fn a_unix_socket_has_no_tls() {
    let text = "[proxy]\nupstream = \"unix:/run:5432\"\n[server_tls]\nmode = \"require\"\n";
    let found = mistakes(text);
    assert_eq!(
        found,
        ["4:8: mode \"require\" cannot be: PostgreSQL has no TLS on a Unix-domain socket"]
    );
}
