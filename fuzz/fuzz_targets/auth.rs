//! Who a client is: a users file is read or refused, and SCRAM lets nobody in who changes a byte.

#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use pgabsorb::auth::{Binding, Credential, Mock, Nonce, Prover, Secret, Users, Verifier};

fuzz_target!(|data: &[u8]| {
    let Some((&how, rest)) = data.split_first() else { return };
    match how % 4 {
        0 => users(rest),
        1 => stranger(how, rest),
        2 => impostor(how, rest),
        _ => man_in_the_middle(how, rest),
    }
});

/// A mistake has its line, and a user that is there has what the file says. Each password costs a
/// millisecond, so there are few.
fn users(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if text.lines().count() > 4 {
        return;
    }
    match Users::parse(text, Mock::new(b"random")) {
        Ok(users) => {
            assert!(users.len() <= text.lines().count());
            let account = users.account(b"nobody");
            assert!(account.password.is_none() || text.contains("nobody"));
        }
        Err(error) => {
            let error = error.to_string();
            let line = error.strip_prefix("line ").and_then(|rest| rest.split_once(':'));
            let line: usize = line.expect("it begins with the line").0.parse().unwrap();
            assert!((1..=text.lines().count()).contains(&line), "{error}");
        }
    }
}

/// Whatever a client sends that does not know the password, it is not let in.
fn stranger(how: u8, data: &[u8]) {
    let (first, last) = halves(data);
    let mechanism: &[u8] = if how & 4 == 0 { b"SCRAM-SHA-256" } else { b"SCRAM-SHA-256-PLUS" };
    let begun = Verifier::begin(SECRET.clone(), &binding(how), &nonce(1), mechanism, first);
    if let Ok((verifier, _)) = begun {
        assert!(verifier.finish(last).is_err());
    }
}

/// Whatever a server sends that does not know the secret, it is not believed.
fn impostor(how: u8, data: &[u8]) {
    let (first, last) = halves(data);
    let mut prover = prover(how);
    let proved = prover.prove(first);
    assert!(proved.is_err() || first.starts_with(b"r="));
    assert!(prover.finish(last).is_err());
}

/// An exchange of two that know the password: it succeeds if no message is changed, and with any
/// change to any of them one side refuses.
fn man_in_the_middle(how: u8, data: &[u8]) {
    let Some((&[which, at, count], bytes)) = data.split_first_chunk() else { return };
    let changed = |number: u8, message: &[u8]| {
        if which % 5 != number {
            return message.to_vec();
        }
        let at = usize::from(at).min(message.len());
        let end = (at + usize::from(count)).min(message.len());
        [&message[..at], bytes, &message[end..]].concat()
    };
    let binding = binding(how);
    let (mut prover, mechanism, first) =
        Prover::begin(credential(how), &binding, nonce(0), Verifier::mechanisms(&binding)).unwrap();
    let mut is_same = true;
    let mut pass = |number: u8, message: &[u8]| {
        let passed = changed(number, message);
        is_same &= passed == message;
        passed
    };
    let ends = (|| {
        let first = pass(0, first.as_bytes());
        let (verifier, answer) =
            Verifier::begin(SECRET.clone(), &binding, &nonce(1), mechanism.as_bytes(), &first)
                .ok()?;
        let proof = prover.prove(&pass(1, answer.as_bytes())).ok()?;
        let verified = verifier.finish(&pass(2, proof.as_bytes())).ok()?;
        prover.finish(&pass(3, verified.message.as_bytes())).ok()
    })();
    assert_eq!(ends.is_some(), is_same);
}

fn prover(how: u8) -> Prover {
    let binding = binding(how);
    let mechanisms = Verifier::mechanisms(&binding);
    Prover::begin(credential(how), &binding, nonce(0), mechanisms).expect("it is offered").0
}

fn binding(how: u8) -> Binding {
    if how & 8 == 0 { Binding::None } else { Binding::EndPoint(vec![7; 32]) }
}

/// With the password or, faster, with the key that a login has shown.
fn credential(how: u8) -> Credential {
    if how & 0xf0 == 0 { Credential::Password(PASSWORD.to_vec()) } else { KEY.clone() }
}

fn nonce(number: u8) -> Nonce {
    Nonce::new(&[number; 18])
}

fn halves(data: &[u8]) -> (&[u8], &[u8]) {
    let cut = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    (&data[..cut], data.get(cut + 1..).unwrap_or_default())
}

const PASSWORD: &[u8] = b"pencil";

static SECRET: LazyLock<Secret> = LazyLock::new(|| Secret::derive(PASSWORD, b"some salt"));

/// As it is shown by a login with the password.
static KEY: LazyLock<Credential> = LazyLock::new(|| {
    let password = Credential::Password(PASSWORD.to_vec());
    let offers = Verifier::mechanisms(&Binding::None);
    let (mut prover, mechanism, first) =
        Prover::begin(password, &Binding::None, nonce(0), offers).expect("it is offered");
    let (secret, mechanism) = (SECRET.clone(), mechanism.as_bytes());
    let (verifier, answer) =
        Verifier::begin(secret, &Binding::None, &nonce(1), mechanism, first.as_bytes()).unwrap();
    let proof = prover.prove(answer.as_bytes()).unwrap();
    let verified = verifier.finish(proof.as_bytes()).unwrap();
    Credential::Key(verified.client_key, SECRET.clone())
});
