use super::*;

fn startup(pairs: &[(&str, &str)]) -> StartupParameters {
    let mut body = 0x0003_0000_i32.to_be_bytes().to_vec();
    for (name, value) in pairs {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    match StartupPacket::read(&body) {
        Some(StartupPacket::Startup(parameters)) => parameters,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_database_is_the_users_name_where_none_is_named() {
    let read = startup(&[("user", "app"), ("application_name", "x")]);
    assert_eq!((read.user.as_slice(), read.database.as_slice()), (&b"app"[..], &b"app"[..]));
    assert_eq!(startup(&[("database", "d"), ("user", "app")]).database, b"d");
}

#[test]
fn replication_is_whatever_the_server_does_not_read_as_false() {
    for (value, expected) in [
        ("true", true),
        ("database", true),
        ("on", true),
        ("1", true),
        ("yes", true),
        ("false", false),
    ]
    .into_iter()
    .chain([
        ("f", false),
        ("0", false),
        ("off", false),
        ("of", false),
        ("No", false),
        ("o", true),
    ]) {
        assert_eq!(startup(&[("replication", value)]).replication, expected, "{value}");
    }
    assert!(!startup(&[("user", "replication")]).replication);
}

#[test]
fn requests_are_known_by_their_codes() {
    let read = |code: i32| StartupPacket::read(&code.to_be_bytes());
    assert_eq!(read(80_877_103), Some(StartupPacket::SslRequest));
    assert_eq!(read(80_877_104), Some(StartupPacket::GssEncRequest));
    assert_eq!(read(80_877_102), Some(StartupPacket::Cancel));
    assert_eq!(StartupPacket::read(b"GET"), None);
}

#[test]
fn a_startup_cut_short_is_read_as_far_as_it_goes() {
    let body = [&0x0003_0000_i32.to_be_bytes()[..], b"user\0app\0datab"].concat();
    let Some(StartupPacket::Startup(read)) = StartupPacket::read(&body) else { panic!() };
    assert_eq!(read.user, b"app");
}
