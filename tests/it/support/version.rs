//! What the server's version decides. All servers of a run are of one version, see
//! `tests/servers/run`.

use std::io::{Write as _, stderr};
use std::sync::OnceLock;

use super::postgres::server;
use super::wire::{Wire, startup};

/// The server's major version.
pub fn version() -> u32 {
    static VERSION: OnceLock<u32> = OnceLock::new();
    *VERSION.get_or_init(|| {
        let mut wire = Wire::connect(server().address(), &startup(&[]));
        let reply = wire.query("SHOW server_version_num");
        let row = reply.iter().find(|message| message.tag == b'D').expect("a row");
        let number = std::str::from_utf8(&row.body[6..]).expect("digits");
        number.parse::<u32>().expect("a number") / 10_000
    })
}

/// Whether the server is of this version or newer, which is where it has what a test needs.
pub fn server_has(since: u32, what: &str) -> bool {
    let has = version() >= since;
    if !has {
        left_out(&format!("{what}, since {since}"));
    }
    has
}

/// Says past the capture of what tests print that something is not tested: it is to be seen.
pub fn left_out(what: &str) {
    let line = format!("left out with PostgreSQL {}: {what}\n", version());
    stderr().write_all(line.as_bytes()).expect("written");
}

/// The same said of a server of this version: before 15 no conflict target can name its table, and
/// what is expected has no predicate that does.
pub fn of_version(text: &str, version: u32) -> String {
    const CHECK: &str = ".tableoid IS NULL";
    let mut text = text.to_owned();
    while version < 15
        && let Some(at) = text.find(CHECK)
    {
        let begins = [" WHERE ", " AND "].iter().filter_map(|word| text[..at].rfind(word)).max();
        text.replace_range(begins.expect("a predicate")..at + CHECK.len(), "");
    }
    text
}
