//! A server that does not tell the truth about the transaction block: the error of a duplicate is
//! shown, unless what the server says is what a server says that has undone it.

use super::world::{World, contains, shown, unchanged};
use crate::support::wire::{message, pbe, query, sync};

/// What a ReadyForQuery may say, and may not.
const STATUSES: &[&[u8]] = &[b"I", b"T", b"E", b"X", b"i", b"\0", b"", b"II", b"TE"];

#[test]
fn a_duplicate_is_a_success_only_where_its_undoing_is_said() {
    let call = |sql: &str| [pbe(sql, &[]), sync()].concat();
    let (one, two) = ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (1), (2)");
    let mut absorbed = 0;
    for begins in [false, true] {
        for duplicate in [query(one), call(one), query(two), call(two)] {
            for status in STATUSES {
                let mut world = World::new(unchanged());
                if begins {
                    world.send(&query("BEGIN"));
                    assert!(contains(
                        &world.send(&query("INSERT INTO t VALUES (3)")),
                        b"INSERT 0 1"
                    ));
                }
                let truth: &[u8] = if begins { b"E" } else { b"I" };
                // The first ReadyForQuery behind the error.
                let (mut failed, mut told) = (false, false);
                world.change(Box::new(move |said| {
                    failed |= said.tag == b'E';
                    let is_it = failed && said.tag == b'Z' && !std::mem::replace(&mut told, failed);
                    is_it.then(|| message(b'Z', status))
                }));
                let got = world.send(&duplicate);
                world.end();
                let said = format!("{}, {begins}:\n{}", status.escape_ascii(), shown(&got));
                assert_eq!(world.has_absorbed(), *status == truth, "{said}");
                assert_eq!(contains(&got, b"C23505"), *status != truth, "{said}");
                assert_eq!(contains(&got, b"INSERT 0"), *status == truth, "{said}");
                absorbed += u32::from(world.has_absorbed());
            }
        }
    }
    assert_eq!(absorbed, 8);
}

/// What was told in a block that the server has forgotten is not made to look committed: the client
/// is told what the server says, and the next duplicate is judged by that.
#[test]
fn a_status_that_contradicts_the_client_is_passed_on_to_it() {
    for status in STATUSES {
        let mut world = World::new(unchanged());
        world.change(Box::new(move |said| (said.tag == b'Z').then(|| message(b'Z', status))));
        for sql in ["BEGIN", "INSERT INTO t VALUES (3)", "SELECT 1", "COMMIT"] {
            let got = world.send(&query(sql));
            assert!(got.ends_with(&message(b'Z', status)), "{sql}: {}", shown(&got));
            assert!(!contains(&got, b"pgabsorb") && world.violation.is_none(), "{}", shown(&got));
        }
        // Nothing is known any more of a session whose server says what is no status.
        let known = matches!(*status, b"I" | b"T" | b"E");
        let got = world.send(&query("INSERT INTO t VALUES (1)"));
        assert!(known || contains(&got, b"C23505"), "{}: {}", status.escape_ascii(), shown(&got));
    }
}
