//! The files that the rules file names: what is wrong with them is said, and they are read again
//! with the rules.

use std::{fs, str};

use crate::shell::process::{Process, command};
use crate::support::wire::Wire;

use super::greeting::{connect, encrypt};
use super::{client_tls, file, proxy, server_tls};

/// What `check` says of a rules file: its standard output, and its standard error.
fn check(config: &str) -> (String, String) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("rules.toml");
    fs::write(&path, config).unwrap();
    let output = command().arg("check").arg("--config").arg(&path).output().unwrap();
    let text = |bytes: &[u8]| str::from_utf8(bytes).unwrap().to_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn what_is_wrong_with_a_file_is_said_before_the_start() {
    let upstream = "[proxy]\nupstream = 'localhost:5432'\n";
    let with = |certificate: &str, key: &str| {
        let (certificate, key) = (file(certificate), file(key));
        format!(
            "{upstream}[client_tls]\nmode = 'require'\ncertificate = '{}'\nkey = '{}'\n",
            certificate.display(),
            key.display()
        )
    };
    let wrong = [
        (with("nowhere.crt", "proxy.key"), "[client_tls] certificate", "No such file"),
        (with("proxy.key", "proxy.key"), "[client_tls] certificate", "no certificate"),
        (with("proxy.crt", "proxy.crt"), "[client_tls] key", "no items found"),
        (with("proxy.crt", "server.key"), "[client_tls] certificate and key", "match"),
        (
            format!("{upstream}[server_tls]\nmode = 'verify-ca'\nca = '/nowhere'"),
            "[server_tls] ca /nowhere",
            "No such file",
        ),
    ];
    for (config, place, why) in wrong {
        let (said, errors) = check(&config);
        assert!(said.is_empty(), "{said}");
        assert!(errors.contains(place) && errors.contains(why), "{config}\n{errors}");
        let failure = Process::spawn(&config, |_| {}).failure();
        assert!(failure.contains(place) && failure.contains(why), "{failure}");
    }
    let both = client_tls("require", "proxy") + &server_tls("verify-full");
    let (said, errors) = check(&(upstream.to_owned() + &both));
    assert!(
        errors.is_empty() && said.contains("warning: with TLS on both sides"),
        "{said}{errors}"
    );
}

#[test]
fn certificates_are_read_again_with_the_rules() {
    let shown = |proxy: &Process| -> Vec<u8> {
        let mut stream = encrypt(connect(proxy.address()), &[b"postgresql"], None);
        stream.conn.complete_io(&mut stream.sock).unwrap();
        stream.conn.peer_certificates().unwrap()[0].to_vec()
    };
    let proxy = proxy(&client_tls("require", "proxy"));
    let before = shown(&proxy);
    assert_eq!(shown(&proxy), before);

    proxy.write_rules(&client_tls("require", "nobody"));
    proxy.signal("HUP");
    proxy.output.wait_for("rules not reloaded", 1);
    assert_eq!(shown(&proxy), before);

    proxy.write_rules(&client_tls("require", "server"));
    proxy.signal("HUP");
    proxy.output.wait_for("rules reloaded", 1);
    assert_ne!(shown(&proxy), before);

    proxy.write_rules("");
    proxy.signal("HUP");
    proxy.output.wait_for("rules reloaded", 2);
    let mut wire = Wire::open(proxy.address());
    wire.send(&crate::support::wire::ssl_request());
    assert_eq!(wire.byte(), Some(b'N'));
}
