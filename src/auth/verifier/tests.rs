use super::*;
use crate::auth::{Credential, LoginError, Mock, Prover};

/// The exchange of RFC 7677, section 3.
const FIRST: &[u8] = b"n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
const LAST: &[u8] = b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";
const SALT: &[u8] = b"\x5b\x6d\x99\x68\x9d\x12\x35\x8e\xec\xa0\x4b\x14\x12\x36\xfa\x81";

fn rfc() -> (Verifier, String) {
    let nonce = Nonce("%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0".to_owned());
    let secret = Secret::derive(b"pencil", SALT);
    Verifier::begin(secret, &Binding::None, &nonce, PLAIN.as_bytes(), FIRST).unwrap()
}

#[test]
fn the_exchange_of_the_standard_succeeds() {
    let (verifier, answer) = rfc();
    assert_eq!(
        answer,
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
    );
    let shown = verifier.finish(LAST).unwrap();
    assert_eq!(shown.message, "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
}

#[test]
fn one_changed_byte_of_the_last_message_is_refused() {
    for at in 0..LAST.len() {
        let mut message = LAST.to_vec();
        message[at] ^= 1;
        assert!(rfc().0.finish(&message).is_err(), "{at}");
        assert!(rfc().0.finish(&LAST[..at]).is_err(), "{at}");
    }
}

#[test]
fn what_a_client_shows_logs_in_elsewhere() {
    let secret = Secret::derive(b"p\xc3\xa4ssword", b"0123456789abcdef");
    let first = Credential::Password(b"p\xc3\xa4ssword".to_vec());
    for (here, there) in [
        (Binding::None, Binding::None),
        (Binding::EndPoint(vec![1; 32]), Binding::EndPoint(vec![2; 48])),
        (Binding::EndPoint(vec![1; 32]), Binding::None),
    ] {
        let verified = exchange(first.clone(), secret.clone(), &here, &here).unwrap();
        let second = Credential::Key(verified.client_key, secret.clone());
        assert!(exchange(second.clone(), secret.clone(), &there, &there).is_ok());
        let other = Secret::derive(b"p\xc3\xa4ssword", b"another salt");
        let error = exchange(second, other, &there, &there).unwrap_err();
        assert_eq!(error, Failure::Login(LoginError::OtherSecret));
    }
}

#[test]
fn a_wrong_password_and_an_unknown_user_look_alike() {
    let wrong = || Credential::Password(b"wrong".to_vec());
    let known = Secret::derive(b"right", b"0123456789abcdef");
    let unknown = Mock::new(b"random").secret(b"nobody");
    assert_eq!(unknown.salt.len(), known.salt.len());
    for secret in [known, unknown] {
        let error = exchange(wrong(), secret, &Binding::None, &Binding::None).unwrap_err();
        assert_eq!(error, Failure::Refused(Refused::Password));
    }
}

#[test]
fn a_login_is_bound_to_its_channel() {
    let secret = Secret::derive(b"p", b"0123456789abcdef");
    let password = Credential::Password(b"p".to_vec());
    let (one, other) = (Binding::EndPoint(vec![1; 32]), Binding::EndPoint(vec![2; 32]));
    let error = exchange(password.clone(), secret.clone(), &one, &other).unwrap_err();
    assert_eq!(error, Failure::Refused(Refused::Channel));
    // One that was told that there is no binding, where there is: the offer was taken out.
    let nonce = Nonce("nonce".to_owned());
    let plain: &[&[u8]] = &[PLAIN.as_bytes()];
    let (_, mechanism, message) = Prover::begin(password, &one, nonce.clone(), plain).unwrap();
    let begun = Verifier::begin(secret, &one, &nonce, mechanism.as_bytes(), message.as_bytes());
    assert_eq!(begun.unwrap_err(), Refused::Negotiation);
}

#[test]
fn what_is_not_scram_is_refused() {
    let nonce = Nonce("nonce".to_owned());
    let binding = Binding::EndPoint(vec![1; 32]);
    for (mechanism, message) in [
        ("SCRAM-SHA-1", "n,,n=,r=a"),
        ("SCRAM-SHA-256", "p=tls-server-end-point,,n=,r=a"),
        ("SCRAM-SHA-256", "p=tls-unique,,n=,r=a"),
        ("SCRAM-SHA-256-PLUS", "n,,n=,r=a"),
        ("SCRAM-SHA-256", "n,a=admin,n=,r=a"),
        ("SCRAM-SHA-256", "n,,m=x,n=,r=a"),
        ("SCRAM-SHA-256", "n,,n="),
        ("SCRAM-SHA-256", "n,,n=,r="),
        ("SCRAM-SHA-256", "n,,n=,r=\u{7f}"),
        ("SCRAM-SHA-256", ""),
    ] {
        let secret = Secret::derive(b"p", b"0123456789abcdef");
        let begun =
            Verifier::begin(secret, &binding, &nonce, mechanism.as_bytes(), message.as_bytes());
        assert_eq!(begun.unwrap_err(), Refused::Malformed, "{mechanism} {message}");
    }
}

#[test]
fn a_server_that_does_not_know_the_secret_is_not_believed() {
    let begin = || {
        let password = Credential::Password(b"p".to_vec());
        let nonce = Nonce("abc".to_owned());
        Prover::begin(password, &Binding::None, nonce, &[PLAIN.as_bytes()]).unwrap().0
    };
    for message in [
        "r=xyz,s=AAAA,i=4096",
        "r=abcd,s=?,i=4096",
        "r=abcd,s=AAAA,i=0",
        "r=abcd,s=AAAA,i=100001",
        "r=abcd",
        "",
    ] {
        assert_eq!(begin().prove(message.as_bytes()), Err(LoginError::Malformed), "{message}");
    }
    let mut prover = begin();
    prover.prove(b"r=abcd,s=AAAA,i=1").unwrap();
    let forged = b"v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    assert_eq!(prover.finish(forged), Err(LoginError::Impostor));
    assert_eq!(begin().finish(forged), Err(LoginError::Impostor));
}

#[derive(Debug, PartialEq, Eq)]
enum Failure {
    Login(LoginError),
    Refused(Refused),
}

/// A whole login, where each side may believe in another channel.
fn exchange(
    credential: Credential,
    secret: Secret,
    clients: &Binding,
    servers: &Binding,
) -> Result<Verified, Failure> {
    let nonce = Nonce::new(b"123456789012345678");
    let offered = Verifier::mechanisms(servers);
    let (mut prover, mechanism, message) =
        Prover::begin(credential, clients, nonce.clone(), offered).map_err(Failure::Login)?;
    let (exchange, answer) =
        Verifier::begin(secret, servers, &nonce, mechanism.as_bytes(), message.as_bytes())
            .map_err(Failure::Refused)?;
    let proof = prover.prove(answer.as_bytes()).map_err(Failure::Login)?;
    let verified = exchange.finish(proof.as_bytes()).map_err(Failure::Refused)?;
    prover.finish(verified.message.as_bytes()).map_err(Failure::Login)?;
    Ok(verified)
}
