use super::*;

#[test]
fn an_address_is_read_and_shown_as_it_is_written() {
    let table = [
        "127.0.0.1:7432",
        "0.0.0.0:0",
        "[::1]:7432",
        "[::]:65535",
        "[fe80::1%eth0]:5432",
        "localhost:5432",
        "db-1.internal_net:5432",
        "unix:/run/postgresql/.s.PGSQL.5432",
        "unix:/tmp/a b",
    ];
    for text in table {
        assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
    }
}

#[test]
fn a_directory_and_a_port_name_the_socket_as_libpq_does() {
    let table = [
        ("unix:/var/run/postgresql:5432", "/var/run/postgresql/.s.PGSQL.5432"),
        ("unix:/tmp/:5433", "/tmp/.s.PGSQL.5433"),
        ("unix:/:5432", "/.s.PGSQL.5432"),
        ("unix:/tmp/a:b", "/tmp/a:b"),
    ];
    for (text, path) in table {
        assert_eq!(text.parse(), Ok(Address::Unix { path: path.into() }), "{text}");
    }
}

#[test]
fn what_is_no_address_says_why() {
    use AddressError::*;
    let long = format!("unix:/{}", "x".repeat(107));
    let table = [
        ("", NoPort),
        ("localhost", NoPort),
        ("[::1]", NoPort),
        ("[::1]5432", NoPort),
        ("localhost:", BadPort),
        ("localhost:65536", BadPort),
        ("localhost:+1", BadPort),
        ("localhost:x", BadPort),
        (":5432", BadHost),
        ("a b:5432", BadHost),
        ("127.0.0:5432", BadHost),
        ("127.0.0.256:5432", BadHost),
        ("[localhost]:5432", BadHost),
        ("[::1:5432", BadHost),
        ("/tmp:5432", BadHost),
        ("user@host:5432", BadHost),
        ("*:7432", Star),
        ("::1:5432", NoBrackets),
        ("postgres://localhost:5432/db", Url),
        ("unix:", RelativeSocket),
        ("unix:tmp", RelativeSocket),
        ("unix:/a\0", RelativeSocket),
        (&long, LongSocket),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<Address>(), Err(error), "{text}");
    }
}

#[test]
fn a_server_has_a_port() {
    assert_eq!(Address::of_server("localhost:0"), Err(AddressError::NoServerPort));
    assert!(Address::of_server("localhost:1").is_ok());
    assert!(Address::of_server("unix:/tmp:0").is_ok());
}
