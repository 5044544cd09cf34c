//! Protocol 3.2, which came with PostgreSQL 18: its cancel keys are longer, and a server that does
//! not know it says so (NegotiateProtocolVersion).

use super::cancel::wait_for_sleep;
use super::{has, proxy};
use crate::support::postgres::{Database, server};
use crate::support::version::version;
use crate::support::wire::{Message, Wire, cancel_request, lines, query, startup_version};

const PROTOCOL_3_2: u32 = 0x0003_0002;

#[test]
fn a_client_that_asks_for_protocol_3_2_gets_what_the_server_has_of_it() {
    let (database, proxy) = (Database::new(), proxy(""));
    let user = [("user", "postgres"), ("database", database.name.as_str())];
    for address in [server().address(), proxy.address()] {
        let mut wire = Wire::open(address);
        wire.send(&startup_version(PROTOCOL_3_2, &user));
        let welcome = wire.until(b'Z', 1);
        let negotiated = welcome.iter().find(|message| message.tag == b'v');
        if version() >= 18 {
            assert!(negotiated.is_none(), "{}", lines(&welcome));
            // The process id, and a secret of 32 bytes.
            assert_eq!(key(&welcome).len(), 4 + 32);
        } else {
            // The newest minor version that it speaks is 0, and of options it has no complaint.
            let words = (0x0003_0000_u32.to_be_bytes(), 0_u32.to_be_bytes());
            assert_eq!(negotiated.unwrap().body, [words.0, words.1].concat());
            assert_eq!(welcome[0].tag, b'v', "{}", lines(&welcome));
            assert_eq!(key(&welcome).len(), 4 + 4);
        }
    }
}

#[test]
fn a_key_of_protocol_3_2_cancels_and_no_other_of_its_length_does() {
    let (database, proxy) = (Database::new(), proxy(""));
    let mut wire = Wire::open(proxy.address());
    let user = [("user", "postgres"), ("database", database.name.as_str())];
    wire.send(&startup_version(PROTOCOL_3_2, &user));
    let good = key(&wire.until(b'Z', 1)).to_vec();
    // Wrong in its last byte, and right but short of it: either tells whether all of it is passed on.
    let mut wrong = good.clone();
    *wrong.last_mut().unwrap() ^= 1;
    for bad in [&wrong[..], &good[..good.len() - 1]] {
        wire.send(&query("SELECT pg_sleep(0.3), 'undisturbed'"));
        wait_for_sleep(&database);
        let mut cancel = Wire::open(proxy.address());
        cancel.send(&cancel_request(bad));
        assert!(cancel.rest().0.is_empty());
        assert!(has(&wire.until(b'Z', 1), "undisturbed"));
    }
    wire.send(&query("SELECT pg_sleep(60)"));
    wait_for_sleep(&database);
    let mut cancel = Wire::open(proxy.address());
    cancel.send(&cancel_request(&good));
    assert!(cancel.rest().0.is_empty());
    assert!(has(&wire.until(b'Z', 1), "C57014"));
    assert!(has(&wire.query("SELECT 'goes on'"), "goes on"));
}

fn key(welcome: &[Message]) -> &[u8] {
    let data = welcome.iter().find(|message| message.tag == b'K');
    &data.unwrap_or_else(|| panic!("{}", lines(welcome))).body
}
