//! The units for systemd.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use pgabsorb::config::{Address, Limits};

use super::{longest_stop, read};

const SERVICE: &str = "packaging/systemd/pgabsorb.service";
const SOCKET: &str = "packaging/systemd/optional/pgabsorb.socket";

/// What a unit says for a key, last.
fn said<'a>(unit: &'a str, key: &str) -> &'a str {
    let prefix = format!("{key}=");
    let said = unit.lines().rev().find_map(|line| line.strip_prefix(&prefix));
    said.unwrap_or_else(|| panic!("no {key}= in the unit"))
}

#[test]
fn the_service_leaves_the_drain_its_time_and_the_sessions_their_descriptors() {
    let unit = read(SERVICE);
    let timeout: u64 = said(&unit, "TimeoutStopSec").parse().unwrap();
    assert!(Duration::from_secs(timeout) > longest_stop(&Limits::default()));
    let descriptors: usize = said(&unit, "LimitNOFILE").parse().unwrap();
    assert!(descriptors >= 2 * Limits::default().connections + 128);
}

#[test]
fn the_socket_is_where_the_proxy_would_listen_by_itself() {
    let unit = read(SOCKET);
    let listen: Address = said(&unit, "ListenStream").parse().unwrap();
    let settings = super::settings("proxy.upstream = 'db:5432'");
    assert_eq!(settings.listen, [listen]);
}

#[test]
fn systemd_finds_no_mistake_in_the_units() {
    let directory = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_pgabsorb");
    let units = [SERVICE, SOCKET].map(|path| {
        let unit = read(path).replace("/usr/bin/pgabsorb", program);
        let copy = directory.path().join(Path::new(path).file_name().unwrap());
        fs::write(&copy, unit).unwrap();
        copy
    });
    let verify = Command::new("systemd-analyze").arg("verify").args(&units).output();
    let Ok(verified) = verify else {
        eprintln!("skipped: there is no systemd-analyze here");
        return;
    };
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && said.is_empty(), "{said}");
}
