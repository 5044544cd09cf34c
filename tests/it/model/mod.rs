//! Random and exhaustive sessions between a model client and a model server, with a session in
//! between: whatever the client was told is stored, is stored, and nothing else is.

mod client;
pub mod server;
mod sql;
pub mod world;

use std::sync::Arc;

use pgabsorb::rules::Ruleset;
use proptest::prelude::*;

use client::Send;
use sql::{Insert, Sql};
use world::{World, catalog, listing, rules};

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// However messages are cut and however late replies come: the client gets a reply to each
    /// message and no other, and believes what is so.
    #[test]
    fn a_client_believes_what_is_stored(script in script(), choices in choices()) {
        let mut world = World::new(&rules(), &catalog());
        world.play(&script, &choices);
        world.settle();
        prop_assert_eq!(world.client.believed(), world.server.stored());
    }

    /// Without rules, or with rules that list nothing here, the bytes out are the bytes in.
    #[test]
    fn without_a_rule_that_applies_bytes_pass_unchanged(
        script in script(),
        choices in choices(),
        idle_rule in any::<bool>(),
    ) {
        let rules = if idle_rule { listing("nothing_pkey") } else { Arc::new(Ruleset::new(Vec::new())) };
        let mut world = World::new(&rules, &catalog());
        world.play(&script, &choices);
        world.settle();
        prop_assert_eq!(&world.from_client, &world.to_server);
        prop_assert_eq!(&world.from_server, &world.to_client);
        prop_assert_eq!(world.client.believed(), world.server.stored());
    }

    /// Where replies are awaited, how messages are cut makes no difference to what is sent.
    #[test]
    fn any_cut_gives_the_same_bytes(script in script(), piece in 1_usize..40) {
        let [whole, cut] = [usize::MAX, piece].map(|piece| {
            let mut world = World::new(&rules(), &catalog());
            for send in &script {
                world.send(send);
                world.deliver(piece);
            }
            (world.to_server, world.to_client, world.recorder.notes)
        });
        prop_assert_eq!(whole, cut);
    }
}

#[test]
fn every_short_session_is_answered_and_leaves_the_ledger_in_step() {
    let dup = Sql::insert('t', vec![Some(1)]);
    let alphabet = [
        Send::Parse("", dup.clone()),
        Send::Bind("", "", 1),
        Send::Execute(""),
        Send::Describe(b'P', ""),
        Send::Close(b'P', ""),
        Send::Flush,
        Send::Sync,
        Send::Query(vec![dup.clone()]),
        Send::Query(vec![Sql::Begin]),
        Send::Query(vec![Sql::insert('t', vec![Some(2)]), dup]),
    ];
    let (rules, catalog) = (rules(), catalog());
    let mut absorbed = 0;
    for number in 0..alphabet.len().pow(5) {
        let script: Vec<_> = digits(number, alphabet.len(), 5).map(|it| &alphabet[it]).collect();
        for patient in [true, false] {
            absorbed += short_session(World::new(&rules, &catalog), &script, patient);
        }
    }
    assert!(absorbed > 10_000, "only {absorbed} duplicates were absorbed");
}

/// Plays a script, awaiting all that can come after each message or nothing before the end; then
/// a lone duplicate is absorbed, which it only is if every reply was told apart.
fn short_session(mut world: World, script: &[&Send], patient: bool) -> usize {
    world.send(&Send::Query(vec![Sql::insert('t', vec![Some(1)])]));
    world.deliver(usize::MAX);
    for send in script {
        world.send(send);
        if patient {
            world.deliver(usize::MAX);
        }
    }
    world.settle();
    assert_eq!(world.client.believed(), world.server.stored(), "{script:?}");
    let before = world.client.absorbed;
    world.send(&Send::Query(vec![Sql::insert('t', vec![Some(1)])]));
    world.deliver(usize::MAX);
    assert_eq!(world.client.absorbed, before + 1, "the ledger is out of step after {script:?}");
    before
}

fn digits(mut number: usize, base: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |_| {
        let digit = number % base;
        number /= base;
        digit
    })
}

// === What is generated ===

fn choices() -> impl Strategy<Value = Vec<(u8, usize)>> {
    prop::collection::vec((any::<u8>(), 1_usize..80), 1..60).prop_map(|mut choices| {
        // Sending must come round in every cycle, or a script would never end.
        choices.push((0, 1));
        choices
    })
}

fn script() -> impl Strategy<Value = Vec<Send>> {
    prop::collection::vec(exchange(), 1..12).prop_map(|parts| parts.concat())
}

/// A message, or several as drivers send them together.
fn exchange() -> impl Strategy<Value = Vec<Send>> {
    let name = || prop::sample::select(vec!["", "", "a", "b"]);
    prop_oneof![
        3 => prop::collection::vec(literal(), 1..3).prop_map(|it| vec![Send::Query(it)]),
        3 => literal().prop_map(|it| vec![Send::Query(vec![it])]),
        4 => (name(), name(), statement(), 1..4).prop_map(|(portal, name, sql, value)| {
            vec![Send::Parse(name, sql), Send::Bind(portal, name, value), Send::Execute(portal)]
        }),
        3 => (name(), name(), 1..4).prop_map(|(portal, name, value)| {
            vec![Send::Bind(portal, name, value), Send::Execute(portal), Send::Sync]
        }),
        1 => (name(), statement()).prop_map(|(name, sql)| vec![Send::Parse(name, sql)]),
        1 => (name(), name(), 1..4).prop_map(|(portal, name, value)| vec![Send::Bind(portal, name, value)]),
        1 => name().prop_map(|portal| vec![Send::Execute(portal)]),
        1 => (kind(), name()).prop_map(|(kind, name)| vec![Send::Describe(kind, name)]),
        2 => (kind(), name()).prop_map(|(kind, name)| vec![Send::Close(kind, name)]),
        2 => Just(vec![Send::Flush]),
        4 => Just(vec![Send::Sync]),
    ]
}

fn kind() -> impl Strategy<Value = u8> {
    prop::sample::select(b"SP".to_vec())
}

fn statement() -> impl Strategy<Value = Sql> {
    prop_oneof![
        3 => Just(Sql::insert('t', vec![None])),
        1 => Just(Sql::insert('u', vec![None])),
        4 => literal(),
    ]
}

fn literal() -> impl Strategy<Value = Sql> {
    prop_oneof![
        6 => (1..4).prop_map(|row| Sql::insert('t', vec![Some(row)])),
        2 => (1..4).prop_map(|row| Sql::insert('u', vec![Some(row)])),
        2 => (1..4, 1..4).prop_map(|(a, b)| Sql::insert('t', vec![Some(a), Some(b)])),
        2 => (1..4, 1..4, any::<bool>()).prop_map(|(a, b, one)| {
            let rows = if one { vec![Some(a)] } else { vec![Some(a), Some(b)] };
            Sql::Insert(Insert { table: 't', rows, returning: true, on_conflict: false })
        }),
        3 => savepoint(),
        1 => prop::sample::select(vec!['t', 'u']).prop_map(Sql::Delete),
        1 => Just(Sql::Select),
        3 => Just(Sql::Begin),
        1 => Just(Sql::Commit),
        1 => Just(Sql::Rollback),
        1 => Just(Sql::Bad),
    ]
}

fn savepoint() -> impl Strategy<Value = Sql> {
    let name = prop::sample::select(vec!["a", "b"]).prop_map(str::to_owned);
    let command = prop::sample::select(vec![Sql::Savepoint, Sql::Release, Sql::RollbackTo]);
    (command, name).prop_map(|(command, name)| command(name))
}
