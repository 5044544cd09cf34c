use super::super::expected::{Execution, Object};
use super::super::name::Name;
use super::super::text::Text;
use super::*;

fn name() -> Name {
    Name::default()
}

/// A ledger after start-up, with these messages sent.
fn after(messages: Vec<Expected>) -> Ledger {
    let mut ledger = Ledger::new();
    assert!(matches!(
        ledger.received(b'Z'),
        Received::Answer(Entry { expected: Expected::Startup, .. })
    ));
    for message in messages {
        ledger.sent(message);
    }
    ledger
}

fn execute() -> Expected {
    let portal = name();
    Expected::Execute(Execution { portal, max_rows: 0, bound: None, guarded: false })
}

fn query() -> Expected {
    Query::plain(Text::OTHER).into()
}

fn parse() -> Expected {
    Expected::Parse { name: name(), prepared: None, told: false }
}

fn bind() -> Expected {
    Expected::Bind { portal: name(), bound: None, told: false }
}

fn close() -> Expected {
    Expected::Close { object: Object::Portal(name()), told: false }
}

/// Each tag is an answer, a part or an aside; `E` is an ErrorResponse.
fn all_expected(ledger: &mut Ledger, tags: &[u8]) {
    for &tag in tags {
        if tag == b'E' {
            let failed = ledger.failed();
            let asked = matches!(failed, Failed::Head | Failed::Extended { .. });
            assert!(asked, "E in {}", tags.escape_ascii());
        } else {
            let received = ledger.received(tag);
            assert!(
                !matches!(received, Received::OutOfStep { .. }),
                "{} in {}",
                char::from(tag),
                tags.escape_ascii()
            );
        }
    }
}

#[test]
fn an_extended_query_is_answered_message_by_message() {
    let statement = Object::Statement(name());
    let mut ledger = after(vec![
        parse(),
        Expected::Describe(statement),
        bind(),
        Expected::Describe(Object::Portal(name())),
        execute(),
        close(),
        Expected::Sync,
    ]);
    all_expected(&mut ledger, b"1tT2nDDNAS");
    assert!(ledger.segment().begun);
    all_expected(&mut ledger, b"C3");
    assert_eq!(ledger.segment().executed, 1);
    assert!(!ledger.is_quiescent());
    all_expected(&mut ledger, b"Z");
    assert!(ledger.is_quiescent());
}

#[test]
fn an_error_skips_to_sync_whether_it_was_sent_or_not() {
    let mut ledger =
        after(vec![execute(), query(), Expected::FunctionCall, Expected::Sync, query()]);
    let Failed::Extended { skipped, .. } = ledger.failed() else { panic!() };
    assert_eq!(skipped.len(), 2);
    all_expected(&mut ledger, b"ZCZ");
    assert!(ledger.is_quiescent());

    let mut ledger = after(vec![execute()]);
    assert!(matches!(ledger.failed(), Failed::Extended { .. }));
    for message in [query(), execute(), Expected::FunctionCall, Expected::Sync, query()] {
        ledger.sent(message);
    }
    all_expected(&mut ledger, b"ZCZ");
    assert!(ledger.is_quiescent());
}

#[test]
fn a_query_ends_with_its_own_ready_for_query_after_an_error() {
    let mut ledger = after(vec![query(), query()]);
    assert!(matches!(ledger.failed(), Failed::Head));
    all_expected(&mut ledger, b"ZTDCZ");
    assert!(ledger.is_quiescent());
}

/// The first error has gone to the client: a second one must not become a success behind it.
#[test]
fn an_error_begins_the_reply() {
    let mut ledger = after(vec![query()]);
    assert!(!ledger.segment().begun);
    all_expected(&mut ledger, b"E");
    assert!(ledger.segment().begun);
    all_expected(&mut ledger, b"EZ");
    assert!(ledger.is_quiescent() && !ledger.segment().begun);
}

#[test]
fn a_sync_before_the_end_of_copy_data_is_eaten() {
    let pipelined = vec![execute(), Expected::Sync, Expected::CopyEnd, Expected::Sync, query()];
    let mut ledger = after(pipelined);
    all_expected(&mut ledger, b"GCZCZ");
    assert!(ledger.is_quiescent() && ledger.is_sure());

    let mut ledger = after(vec![execute(), Expected::Sync]);
    all_expected(&mut ledger, b"G");
    for message in [Expected::Sync, Expected::CopyEnd, Expected::Sync] {
        ledger.sent(message);
    }
    all_expected(&mut ledger, b"CZ");
    assert!(ledger.is_quiescent() && ledger.is_sure());
}

#[test]
fn a_copy_that_does_not_start_eats_nothing() {
    let mut ledger = after(vec![execute(), Expected::Sync, Expected::CopyEnd, Expected::Sync]);
    assert!(matches!(ledger.failed(), Failed::Extended { .. }));
    all_expected(&mut ledger, b"ZZ");
    assert!(ledger.is_quiescent() && ledger.is_sure());
}

/// Whether the server had read the first Sync when COPY failed, nobody can know.
#[test]
fn a_copy_that_fails_with_a_sync_on_its_way_loses_the_place_for_good() {
    let pipelined = vec![execute(), Expected::Sync, Expected::CopyEnd, Expected::Sync];
    let mut ledger = after(pipelined);
    all_expected(&mut ledger, b"G");
    assert!(matches!(ledger.failed(), Failed::Unasked) && !ledger.is_sure());

    let mut ledger = after(vec![query()]);
    all_expected(&mut ledger, b"G");
    ledger.sent(Expected::Sync);
    assert!(matches!(ledger.failed(), Failed::Unasked) && !ledger.is_sure());

    // What is the proxy's own behind it must not reach the client.
    let mut ledger = after(vec![execute(), Expected::Sync, Expected::CopyEnd, Expected::OwnSync]);
    all_expected(&mut ledger, b"G");
    assert!(matches!(ledger.failed(), Failed::OutOfStep { owed: true }));
}

#[test]
fn a_copy_that_fails_alone_is_like_any_error() {
    let mut ledger = after(vec![query(), Expected::CopyEnd, query()]);
    all_expected(&mut ledger, b"GEZCZ");
    assert!(ledger.is_quiescent());
}

#[test]
fn an_error_that_nobody_asked_for_loses_the_place_for_good() {
    let mut ledger = after(vec![]);
    assert!(matches!(ledger.failed(), Failed::OutOfStep { owed: false }) && !ledger.is_sure());
    assert!(matches!(ledger.failed(), Failed::Unasked), "it is told once");
}

#[test]
fn a_reply_that_nobody_asked_for_loses_the_place_for_good() {
    let mut ledger = after(vec![query()]);
    assert!(matches!(ledger.received(b'2'), Received::OutOfStep { owed: false }));
    ledger.sent(query());
    all_expected(&mut ledger, b"CZCZ");
    assert!(matches!(ledger.failed(), Failed::Unasked));
    assert!(!ledger.is_sure() && !ledger.is_quiescent());
}

#[test]
fn a_reply_that_nobody_asked_for_while_the_proxy_awaits_its_own_is_owed() {
    let mut ledger = after(vec![query(), Expected::OwnSync]);
    assert!(matches!(ledger.received(b'2'), Received::OutOfStep { owed: true }));
}

#[test]
fn a_message_with_unreadable_names_is_answered_like_any_of_its_kind() {
    let unreadable = |count| (0..count).map(|_| Expected::Unreadable).collect::<Vec<_>>();
    let mut ledger = after(unreadable(5));
    ledger.sent(Expected::Sync);
    all_expected(&mut ledger, b"12tnDC3Z");
    assert!(ledger.is_quiescent());
}

#[test]
fn a_long_run_of_messages_is_answered_one_by_one_and_leaves_nothing() {
    let mut ledger = after((0..60).map(|_| parse()).chain([Expected::Sync]).collect());
    let many = ledger.weight();
    assert!(many < 10 * size_of::<Entry>(), "a message takes a byte: {many}");
    for left in (0..60).rev() {
        assert!(if left % 2 == 0 {
            ledger.passes(b'1')
        } else {
            !ledger.passes(b'2') && ledger.passes(b'1')
        });
        assert_eq!(ledger.segment().parsed, 60 - left);
    }
    assert!(!ledger.passes(b'1'), "that was all");
    assert!(matches!(ledger.ready(Some(TransactionStatus::Idle)), Received::Answer(_)));
    assert!(ledger.is_quiescent() && ledger.weight() == 0);
}

#[test]
fn a_copy_eats_the_rest_of_its_run() {
    let mut ledger =
        after(vec![execute(), close(), parse(), Expected::Sync, Expected::CopyEnd, Expected::Sync]);
    all_expected(&mut ledger, b"G");
    assert!(ledger.is_reading(), "the client has ended it already");
    all_expected(&mut ledger, b"CZ");
    assert!(ledger.is_quiescent() && ledger.is_sure() && ledger.weight() == 0);
}

#[test]
fn what_the_client_was_answered_already_is_told_apart_from_its_run() {
    let mut ledger = after(vec![parse(), bind()]);
    ledger.mark_answered();
    ledger.sent(execute());
    assert!(ledger.passes(b'1'));
    assert!(!ledger.passes(b'2'), "the client must not get it again");
    let received = ledger.received(b'2');
    assert!(matches!(received, Received::Answer(Entry { is_answered: true, .. })));
    assert!(ledger.passes(b'D') && ledger.passes(b'C') && ledger.is_drained());
    assert_eq!(ledger.weight(), 0);
}

#[test]
fn an_entry_is_small() {
    assert!(size_of::<Entry>() <= 64, "{}", size_of::<Entry>());
}
