//! The drivers' scripts with PgBouncer on either side of the proxy, and with PgBouncer alone.
//!
//! What PgBouncer itself cannot do in its transaction mode, no script gets past: so what counts is that
//! one gets just as far with the proxy as without. `tests/poolers/run` has all drivers do it.

use std::path::Path;
use std::process::Command;
use std::{env, fmt};

use crate::pooler::{Mode, Pooler};

use super::common::NAMES;
use super::stage::Stage;
use super::{command, python};

/// Where PgBouncer stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Place {
    /// There is no proxy: triggers leave out duplicates.
    Alone,
    /// Application, PgBouncer, proxy, server.
    InFront,
    /// Application, proxy, PgBouncer, server.
    Behind,
}

/// A PgBouncer that asks each of the users for what it has, and so logs in for them.
pub fn start(mode: Mode, server: std::net::SocketAddr) -> Pooler {
    let files = [("users", USERS), ("hosts", HOSTS)];
    Pooler::start_with(mode, server, "", &files, |folder: &Path| {
        format!(
            "auth_type = hba\nauth_file = {folder}/users\nauth_hba_file = {folder}/hosts\n\
             server_login_retry = 1\nignore_startup_parameters = extra_float_digits\n",
            folder = folder.display()
        )
    })
}

const USERS: &str = r#"
"postgres" ""
"trust" ""
"password" "secret"
"md5" "secret"
"scram" "secret"
"#;

const HOSTS: &str = "
host all postgres 127.0.0.1/32 trust
host all trust 127.0.0.1/32 trust
host all password 127.0.0.1/32 password
host all md5 127.0.0.1/32 md5
host all scram 127.0.0.1/32 scram-sha-256
";

/// Without the proxy a duplicate is left out by the server, so that the scripts find what they expect.
pub const IN_PLACE_OF_THE_PROXY: &str = "
CREATE FUNCTION leave_out() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE there bool;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT FROM %I WHERE id = $1)', TG_TABLE_NAME) INTO there USING NEW.id;
    RETURN CASE WHEN NOT there THEN NEW END;
END $$;
CREATE TRIGGER leave_out BEFORE INSERT ON events FOR EACH ROW EXECUTE PROCEDURE leave_out();
CREATE TRIGGER leave_out BEFORE INSERT ON loads FOR EACH ROW EXECUTE PROCEDURE leave_out();
";

/// How far a script has come.
#[derive(Debug, PartialEq)]
enum Reached {
    /// The first of the list that did not hold.
    FailsAt(&'static str),
    /// The list held, but not what the driver has beyond it.
    OwnFails,
    All,
}

impl Reached {
    fn by(place: Place, mode: Mode, attempt: impl FnOnce(&Stage) -> (bool, String)) -> Self {
        let stage = Stage::with_pooler(place, mode);
        let (succeeded, printed) = attempt(&stage);
        println!("the proxy's log:\n{}", stage.proxy.output.text());
        let held = |name: &&str| {
            let (ok, missing) = (format!("ok {name}"), format!("-- {name}: "));
            printed.lines().any(|line| line == ok || line.starts_with(&missing))
        };
        match NAMES.into_iter().find(|name| !held(name)) {
            Some(name) => Self::FailsAt(name),
            // Beyond the list the scripts look for what only the proxy does.
            None if succeeded || place == Place::Alone => Self::All,
            None => Self::OwnFails,
        }
    }
}

impl fmt::Display for Reached {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FailsAt(name) => write!(formatter, "fails at {name}"),
            Self::OwnFails => formatter.write_str("all of the list, not what is its own"),
            Self::All => formatter.write_str("all"),
        }
    }
}

/// Where PgBouncer is to stand, if `PGABSORB_POOLER` says so: `front transaction`.
pub fn asked_for() -> Option<(Place, Mode)> {
    let asked = env::var("PGABSORB_POOLER").ok()?;
    let (place, mode) = asked.split_once(' ').expect("a place and a mode");
    let place = match place {
        "alone" => Place::Alone,
        "front" => Place::InFront,
        "behind" => Place::Behind,
        _ => panic!("no place is called {place}"),
    };
    let mode = match mode {
        "session" => Mode::Session,
        "transaction" => Mode::Transaction,
        _ => panic!("no mode is called {mode}"),
    };
    Some((place, mode))
}

/// Lets a driver do so what it does, whether it succeeds and what it prints, and tells how far it has
/// come.
pub fn tell(
    driver: &str,
    (place, mode): (Place, Mode),
    attempt: impl FnOnce(&Stage) -> (bool, String),
) {
    println!("reached | {driver} | {}", Reached::by(place, mode, attempt));
}

/// That of a script.
pub fn script(command: &mut Command) -> impl FnOnce(&Stage) -> (bool, String) {
    |stage| {
        let (status, printed) = stage.attempt(command);
        (status.success(), printed)
    }
}

/// In both modes and on both sides.
fn goes_as_far_as_without_the_proxy(script: &str) {
    for mode in [Mode::Session, Mode::Transaction] {
        let by =
            |place| Reached::by(place, mode, self::script(&mut command(python(), &[], &[script])));
        let alone = by(Place::Alone);
        for place in [Place::InFront, Place::Behind] {
            assert_eq!(by(place), alone, "{script}, {place:?} {mode:?}");
        }
    }
}

#[test]
fn psycopg_3_gets_as_far_with_pgbouncer_as_without_the_proxy() {
    goes_as_far_as_without_the_proxy("with_psycopg3.py");
}

#[test]
fn pg8000_gets_as_far_with_pgbouncer_as_without_the_proxy() {
    goes_as_far_as_without_the_proxy("with_pg8000.py");
}
