//! Replies that nobody asked for. The session only forwards from there on, so that no duplicate is
//! taken for another's; where replies to the proxy's own are still to come it ends.

use super::world::{World, contains, shown, unchanged};
use super::{RULES, TABLES, assert_absorbs, number, wait_for_rest};
use crate::shell::fake::{Backend, Upstream};
use crate::shell::{fatal, proxy, session};
use crate::support::postgres::Database;
use crate::support::wire::{Wire, lines, message, pbe, query, sync};

/// Messages that are replies, each by itself.
fn replies() -> Vec<Vec<u8>> {
    vec![
        message(b'C', b"SELECT 1\0"),
        message(b'C', b"INSERT 0 1\0"),
        message(b'Z', b"I"),
        message(b'Z', b"T"),
        message(b'D', &[0, 0]),
        message(b'T', &[0, 0]),
        message(b'1', b""),
        message(b'2', b""),
        message(b'3', b""),
        message(b'n', b""),
        message(b's', b""),
        message(b't', &[0, 0]),
        message(b'I', b""),
        message(b'V', &[255; 4]),
        message(b'G', &[0, 0, 0]),
        message(b'H', &[0, 0, 0]),
        message(b'W', &[0, 0, 0]),
        message(b'E', b"SERROR\0VERROR\0C23505\0spublic\0tt\0nt_pkey\0\0"),
        message(b'E', b"SERROR\0VERROR\0C42601\0\0"),
        message(b'?', b"what is this"),
    ]
}

/// Messages that may come at any time.
fn asides() -> Vec<Vec<u8>> {
    vec![
        message(b'N', b"SNOTICE\0VNOTICE\0C23505\0Mt_pkey\0spublic\0tt\0nt_pkey\0\0"),
        message(b'S', b"TimeZone\0UTC\0"),
        message(b'A', b"\0\0\0\x2achannel\0payload\0"),
    ]
}

#[test]
fn what_may_come_at_any_time_changes_nothing() {
    for aside in asides() {
        let mut world = World::new(unchanged());
        assert_eq!(world.say(&aside), aside);
        let got = world.send(&query("INSERT INTO t VALUES (1)"));
        assert!(world.has_absorbed() && world.notes.len() == 1, "{}", shown(&got));
    }
}

#[test]
fn a_reply_between_requests_ends_absorbing_and_is_told_once() {
    for reply in replies() {
        let mut world = World::new(unchanged());
        assert_eq!(world.say(&reply), reply);
        assert_eq!(world.notes.iter().filter(|note| *note == "out of step").count(), 1);
        // All of these are passed on, and none is told again.
        for reply in replies() {
            assert_eq!(world.say(&reply), reply);
        }
        let got = world.send(&query("INSERT INTO t VALUES (1)"));
        assert!(contains(&got, b"C23505") && !world.has_absorbed(), "{}", shown(&got));
        assert_eq!(world.notes.last().unwrap(), "shown out_of_step");
        assert_eq!(world.notes.iter().filter(|note| *note == "out of step").count(), 1);
    }
}

/// Whatever comes between the error and its ReadyForQuery.
#[test]
fn a_reply_behind_an_error_that_is_held_shows_it() {
    let call = |sql: &str| [pbe(sql, &[]), sync()].concat();
    let one = "INSERT INTO t VALUES (1)";
    for begins in [false, true] {
        for duplicate in [query(one), call(one)] {
            for reply in replies() {
                // A row of the statement, or another of its text, is none of these.
                let mut world = World::new(unchanged());
                if begins {
                    world.send(&query("BEGIN"));
                }
                let (mut is_first, extra) = (true, reply.clone());
                world.change(Box::new(move |said| {
                    let is_it = said.tag == b'E' && std::mem::take(&mut is_first);
                    is_it.then(|| [message(said.tag, &said.body), extra.clone()].concat())
                }));
                let got = world.send(&duplicate);
                world.end();
                let said = format!("{}: {}", reply.escape_ascii(), shown(&world.to_client));
                assert!(!contains(&got, b"pgabsorb"), "{said}");
                // The ReadyForQuery that it waits for, which comes twice then.
                let is_it = reply == message(b'Z', b"I") && !begins;
                assert_eq!(world.has_absorbed(), is_it, "{said}");
                assert_eq!(contains(&got, b"INSERT 0 0"), is_it, "{said}");
                assert_ne!(contains(&world.to_client, b"C23505"), is_it, "{said}");
                // What a query may still have said is no reason to lose the place.
                let doubts = ["out of step", "shown unconfirmed"];
                let doubted = world.notes.iter().any(|note| doubts.contains(&&**note));
                assert!(doubted, "{said} {:?}", world.notes);
            }
        }
    }
}

#[test]
fn it_is_passed_on_logged_and_counted_and_the_next_session_absorbs() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(RULES);
    for (number_of_it, reply) in replies().into_iter().enumerate() {
        let (mut client, mut backend) = upstream.session(&proxy);
        for aside in asides() {
            passes(&mut client, &mut backend, &aside);
        }
        passes(&mut client, &mut backend, &reply);
        passes(&mut client, &mut backend, &reply);
        let counted = number(&proxy, "pgabsorb_out_of_step_total");
        assert_eq!(counted, number_of_it as u64 + 1, "{}", reply.escape_ascii());
        proxy.output.wait_for("unexpected reply: nothing is absorbed", number_of_it + 1);
    }
}

fn passes(client: &mut Wire, backend: &mut Backend, bytes: &[u8]) {
    backend.send(bytes);
    let got = client.message().unwrap();
    assert_eq!(message(got.tag, &got.body), bytes);
}

/// The catalog lookup is ahead of the first INSERT.
#[test]
fn in_the_place_of_a_reply_to_the_proxys_own_it_ends_the_session() {
    let upstream = Upstream::bind();
    let proxy = upstream.proxy(RULES);
    let rest = proxy.descriptors();
    let mut ended = 0;
    // The lookup's own first reply is a CloseComplete.
    let others = replies().into_iter().filter(|reply| !matches!(reply[0], b'3' | b'E'));
    for reply in others {
        let (mut client, mut backend) = upstream.session(&proxy);
        client.send(&query("INSERT INTO t VALUES (0)"));
        while backend.message() != b'S' {}
        // What a command of the proxy's own may be answered.
        if matches!(reply[0], b'1' | b'2' | b'D' | b'C' | b's') {
            backend.send(&message(b'n', b""));
        }
        backend.send(&reply);
        let text = fatal(&mut client);
        assert!(text.contains("C08P01") && text.contains("out of step"), "{text}");
        backend.closed();
        ended += 1;
    }
    let violations = "pgabsorb_sessions_ended_total{reason=\"protocol_violation\"}";
    assert_eq!(number(&proxy, violations), ended);
    assert_eq!(number(&proxy, "pgabsorb_out_of_step_total"), ended);
    proxy.output.wait_for("its replies are out of step", usize::try_from(ended).unwrap());
    wait_for_rest(&proxy, rest);
}

/// A client sends its Sync behind COPY, as drivers do, and does not wait. When the COPY fails nobody
/// can tell whether that was read: what the proxy has sent of its own behind it must not be shown.
#[test]
fn what_is_behind_a_copy_that_fails_is_nobodys_to_guess() {
    let database = Database::new();
    database.sql(TABLES);
    database.sql("CREATE TABLE c (id int)");
    let proxy = proxy(RULES);
    assert_absorbs(&mut session(&proxy, &database));
    let mut client = session(&proxy, &database);
    assert!(lines(&client.query("BEGIN")).contains("BEGIN"));
    let copy = [pbe("COPY c FROM STDIN", &[]), sync()].concat();
    let fails =
        [crate::support::wire::copy_data(b"no number\n"), crate::support::wire::copy_done()];
    let behind = [pbe("INSERT INTO t VALUES (0)", &[]), sync()].concat();
    client.send(&[copy, fails.concat(), behind].concat());
    client.send(&crate::support::wire::terminate());
    let (messages, cut) = client.rest();
    let said = lines(&messages);
    assert!(cut.is_empty() && !said.contains("pgabsorb") && !said.contains("INSERT 0 0"), "{said}");
    assert!(said.contains("C22P02"), "{said}");
}
