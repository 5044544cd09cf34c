//! Errors that are none, or are not what they look like: each is shown as it came, or is absorbed
//! because it is all that a duplicate key's error has to be.

use std::cell::Cell;
use std::rc::Rc;

use super::world::{World, contains, messages, shown, unchanged};
use super::{RULES, number};
use crate::shell::fake::Upstream;
use crate::shell::fatal;
use crate::support::wire::{message, pbe, query, sync};

/// What the server would say.
const DUPLICATE: &[u8] = b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0\0";

/// Errors that are a duplicate's, whatever else they say.
const ABSORBED: &[(&str, &[u8])] = &[
    ("as it should be", DUPLICATE),
    (
        "a field that the protocol does not know",
        b"SERROR\0VERROR\0C23505\0zwhat\0spublic\0tt\0nt_pkey\0\0",
    ),
    ("a translated severity", b"SFATAL\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0\0"),
    ("no severity but the translated one", b"SERROR\0C23505\0spublic\0tt\0nt_pkey\0\0"),
    ("another order", b"nt_pkey\0tt\0spublic\0C23505\0VERROR\0\0"),
    ("no message, and an empty detail", b"VERROR\0D\0C23505\0spublic\0tt\0nt_pkey\0\0"),
];

/// Errors that are something else, or cannot be read with certainty.
const SHOWN: &[(&str, &[u8])] = &[
    ("nothing at all", b""),
    ("no field", b"\0"),
    ("no SQLSTATE", b"SERROR\0VERROR\0spublic\0tt\0nt_pkey\0\0"),
    ("two SQLSTATEs", b"SERROR\0VERROR\0C23505\0C23503\0spublic\0tt\0nt_pkey\0\0"),
    ("two SQLSTATEs, ours last", b"SERROR\0VERROR\0C40001\0C23505\0spublic\0tt\0nt_pkey\0\0"),
    ("the same SQLSTATE twice", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0C23505\0\0"),
    ("a longer SQLSTATE", b"SERROR\0VERROR\0C235051\0spublic\0tt\0nt_pkey\0\0"),
    ("a shorter SQLSTATE", b"SERROR\0VERROR\0C2350\0spublic\0tt\0nt_pkey\0\0"),
    ("a SQLSTATE with a space", b"SERROR\0VERROR\0C23505 \0spublic\0tt\0nt_pkey\0\0"),
    ("an empty SQLSTATE", b"SERROR\0VERROR\0C\0spublic\0tt\0nt_pkey\0\0"),
    (
        "the SQLSTATE in the text",
        b"SERROR\0VERROR\0C42601\0M23505\0DC23505\0spublic\0tt\0nt_pkey\0\0",
    ),
    ("the SQLSTATE in the column", b"SERROR\0VERROR\0c23505\0spublic\0tt\0nt_pkey\0\0"),
    ("the SQLSTATE behind the end", b"SERROR\0VERROR\0spublic\0tt\0nt_pkey\0\0C23505\0\0"),
    ("a successful completion", b"SERROR\0VERROR\0C00000\0spublic\0tt\0nt_pkey\0\0"),
    ("no end", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0"),
    ("a field without an end", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey"),
    ("more behind the end", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0\0Mmore\0\0"),
    ("two constraints", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0nother\0\0"),
    ("the same constraint twice", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0nt_pkey\0\0"),
    ("no constraint", b"SERROR\0VERROR\0C23505\0spublic\0tt\0\0"),
    ("an empty constraint", b"SERROR\0VERROR\0C23505\0spublic\0tt\0n\0\0"),
    ("a constraint in the text", b"SERROR\0VERROR\0C23505\0M\"t_pkey\"\0spublic\0tt\0\0"),
    ("no table", b"SERROR\0VERROR\0C23505\0spublic\0nt_pkey\0\0"),
    ("no schema", b"SERROR\0VERROR\0C23505\0tt\0nt_pkey\0\0"),
    ("another schema", b"SERROR\0VERROR\0C23505\0sother\0tt\0nt_pkey\0\0"),
    ("a constraint with more to its name", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey2\0\0"),
    ("a constraint that is no text", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\xff\0\0"),
    ("no severity", b"C23505\0spublic\0tt\0nt_pkey\0\0"),
    ("a severity of its own", b"SERROR\0VERROR!\0C23505\0spublic\0tt\0nt_pkey\0\0"),
    ("a warning", b"SWARNING\0VWARNING\0C23505\0spublic\0tt\0nt_pkey\0\0"),
    ("a context", b"SERROR\0VERROR\0C23505\0W\0spublic\0tt\0nt_pkey\0\0"),
    ("another routine", b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0Rcomparetup_index\0\0"),
    ("an end of the session", b"SFATAL\0VFATAL\0C23505\0spublic\0tt\0nt_pkey\0\0"),
    ("a panic", b"SPANIC\0VPANIC\0C23505\0spublic\0tt\0nt_pkey\0\0"),
];

/// What the client sends before the duplicate, and the duplicate.
fn surroundings() -> Vec<(&'static str, Vec<u8>, Vec<u8>)> {
    let begin = || query("BEGIN");
    let call = |sql: &str| [pbe(sql, &[]), sync()].concat();
    let one = "INSERT INTO t VALUES (1)";
    let two = "INSERT INTO t VALUES (1), (2)";
    vec![
        ("alone", Vec::new(), query(one)),
        ("alone, extended", Vec::new(), call(one)),
        ("alone, run again", Vec::new(), query(two)),
        ("alone, extended, run again", Vec::new(), call(two)),
        ("in a block", begin(), query(one)),
        ("in a block, extended", begin(), call(one)),
        ("in a block, run again", begin(), query(two)),
        ("in a block, extended, run again", begin(), call(two)),
        ("in a pipeline", begin(), [pbe("INSERT INTO t VALUES (3)", &[]), call(one)].concat()),
        ("in one flight", Vec::new(), [begin(), call(one)].concat()),
    ]
}

/// The first error that the server says is said otherwise.
fn play(before: &[u8], duplicate: &[u8], error: &'static [u8]) -> (World, Vec<u8>) {
    let mut world = World::new(unchanged());
    world.send(before);
    let mut is_first = true;
    world.change(Box::new(move |said| {
        let is_it = said.tag == b'E' && std::mem::take(&mut is_first);
        is_it.then(|| message(b'E', error))
    }));
    let got = world.send(duplicate);
    (world, got)
}

#[test]
fn an_error_is_absorbed_if_it_is_all_that_a_duplicates_is() {
    for (place, before, duplicate) in surroundings() {
        for (name, error) in ABSORBED {
            let (world, got) = play(&before, &duplicate, error);
            assert!(world.has_absorbed(), "{name}, {place}: {}", shown(&got));
            assert!(messages(&got).iter().all(|it| it.tag != b'E'), "{name}, {place}");
        }
    }
}

#[test]
fn any_other_error_is_shown_as_it_came() {
    for (place, before, duplicate) in surroundings() {
        for (name, error) in SHOWN {
            let (mut world, got) = play(&before, &duplicate, error);
            let shown = format!("{name}, {place}:\n{}{:?}", shown(&got), world.notes);
            // Behind a FATAL no server says more, as this one does.
            let is_over = contains(error, b"VFATAL") || contains(error, b"VPANIC");
            assert!(is_over || world.violation.is_none(), "{shown}");
            assert!(contains(&got, &message(b'E', error)), "{shown}");
            assert!(!world.has_absorbed() && !contains(&got, b"INSERT 0 0"), "{shown}");
            assert!(!contains(&got, b"pgabsorb"), "{shown}");
            // The session goes on.
            let again =
                world.send(&[query("ROLLBACK"), query("INSERT INTO t VALUES (1)")].concat());
            assert!(is_over || contains(&again, b"INSERT 0 0"), "{shown}");
        }
    }
}

/// Whatever error takes the place of the first reply to what undoes the duplicate, or runs it again.
#[test]
fn a_recovery_that_fails_in_any_such_way_shows_the_error_of_before() {
    let (all, mut replaced) = (SHOWN.iter().chain(ABSORBED), 0);
    for (name, error) in all {
        for (place, before, duplicate) in surroundings() {
            let mut world = World::new(unchanged());
            world.send(&before);
            let (mut stage, here) = (Stage::Before, Rc::new(Cell::new(false)));
            let fired = Rc::clone(&here);
            world.change(Box::new(move |said| {
                stage = match (stage, said.tag) {
                    (Stage::Before, b'E') => Stage::Failed,
                    (Stage::Failed, b'Z') => Stage::Recovers,
                    (Stage::Recovers, _) => Stage::Over,
                    (stage, _) => stage,
                };
                let is_it = stage == Stage::Over && !fired.replace(stage == Stage::Over);
                is_it.then(|| message(b'E', error))
            }));
            world.send(&duplicate);
            world.end();
            let shown = format!("{name}, {place}:\n{}", shown(&world.to_client));
            let is_over = contains(error, b"VFATAL") || contains(error, b"VPANIC");
            if here.get() {
                replaced += 1;
                assert!(!world.has_absorbed(), "{shown}");
                assert!(is_over || contains(&world.to_client, DUPLICATE), "{shown}");
            } else {
                assert!(world.has_absorbed(), "nothing is left to do: {shown}");
            }
        }
    }
    assert!(replaced > 200, "{replaced}");
}

/// Where a duplicate is on its way to being absorbed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Before,
    Failed,
    Recovers,
    Over,
}

#[test]
fn what_ends_the_session_ends_it_and_is_counted_by_its_class() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(RULES);
    let (mut client, mut backend) = upstream.session(&proxy);
    // Not an INSERT, so that nothing is asked ahead of it.
    client.send(&query("SELECT 1"));
    assert_eq!(backend.message(), b'Q');
    let without = b"SERROR\0VERROR\0Mno code\0\0";
    backend.send(&[message(b'E', without), message(b'Z', b"I")].concat());
    let shown = client.until(b'Z', 1);
    assert!(shown[0].tag == b'E' && shown[0].body == without, "{shown:?}");
    assert_eq!(number(&proxy, "pgabsorb_server_errors_total{class=\"other\"}"), 1);
    client.send(&query("SELECT 1"));
    assert_eq!(backend.message(), b'Q');
    backend.send(&message(b'E', b"SFATAL\0VFATAL\0C23505\0spublic\0tt\0nt_pkey\0\0"));
    drop(backend);
    let text = fatal(&mut client);
    assert!(text.contains("C23505"), "{text}");
    assert_eq!(number(&proxy, "pgabsorb_server_errors_total{class=\"23\"}"), 1);
    let ended = "pgabsorb_sessions_ended_total{reason=\"server_fatal\"}";
    crate::support::wait_until("the session is over", || number(&proxy, ended) == 1);
}
