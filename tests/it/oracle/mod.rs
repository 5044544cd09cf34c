//! The byte oracle: what a client gets from the server directly, it gets through a proxy whose
//! rules do not apply, byte for byte, however its own bytes are cut. Only the process ids and
//! secret keys, which differ from one connection to the next, are masked.

#![expect(clippy::too_many_lines, reason = "the scenarios are tables, not code")]

mod broken;
mod copy;
mod extended;
mod sessions;
mod simple;
mod startup;

use std::net::SocketAddr;

use crate::support::postgres::{Database, server};
use crate::support::proxy::Proxy;
use crate::support::version::{server_has, version};
use crate::support::wire::{self, Cut, Message, Wire, lines};

/// What one client does, and what is compared.
struct Scenario {
    name: &'static str,
    steps: Vec<Step>,
    /// Messages that hold positions in the log of the server: only their number is compared.
    counted: &'static [u8],
    /// Messages whose number is a matter of time.
    ignored: &'static [u8],
}

enum Step {
    /// A startup packet for the scenario's own database, with these parameters.
    Startup(&'static [(&'static str, &'static str)]),
    Send(Vec<u8>),
    /// Reads to the nth message with this tag.
    Await(u8, usize),
    /// Reads one byte that is not a message.
    Byte,
    HalfClose,
    /// Runs SQL on another, direct connection to the same database.
    Elsewhere(&'static str),
    /// Sends the `CancelRequest` for this session, and waits until it is closed.
    Cancel,
}
use Step::*;

/// A session that a server before 14 does not end by itself: there the client does.
fn ended(mut steps: Vec<Step>) -> Vec<Step> {
    if version() < 14 {
        steps.push(HalfClose);
    }
    steps
}

/// A scenario: a session is opened, all is sent at once, and the session ends.
fn flow(name: &'static str, messages: &[Vec<u8>]) -> Scenario {
    let mut all = messages.concat();
    all.extend(wire::terminate());
    steps(name, vec![Startup(&[]), Await(b'Z', 1), Send(all)])
}

/// A scenario of which every step is written down; it lasts until the server closes.
fn steps(name: &'static str, steps: Vec<Step>) -> Scenario {
    Scenario { name, steps, counted: b"", ignored: b"" }
}

/// Runs every scenario directly, then through each proxy, whole and in single bytes.
fn compare(theme: &str, scenarios: &[Scenario]) {
    let proxies = [("no rules", Proxy::without_rules()), ("an idle rule", Proxy::start(IDLE_RULE))];
    let database = Database::named(&format!("oracle_{theme}"));
    database.sql(SCHEMA);
    if server_has(11, "procedures") {
        database.sql(PROCEDURE);
    }
    for scenario in scenarios {
        println!("{theme}: {}", scenario.name);
        let run = |address, cut| Transcript::of(scenario, &database, address, cut);
        let direct = run(server().address(), Cut::Whole);
        for (rules, proxy) in &proxies {
            for cut in [Cut::Whole, Cut::Bytewise] {
                let seen = run(proxy.address(), cut);
                assert!(
                    seen == direct,
                    "{theme}: {}, {rules}, {cut:?}\n{}",
                    scenario.name,
                    difference(&direct.text(), &seen.text()),
                );
            }
        }
    }
}

/// The lines before the first one that differs, and from there on those of either side.
fn difference(direct: &str, proxied: &str) -> String {
    let same = direct.lines().zip(proxied.lines()).take_while(|(one, other)| one == other).count();
    let rest = |text: &str| text.lines().skip(same).take(30).collect::<Vec<_>>().join("\n");
    let before: Vec<_> = direct.lines().take(same).skip(same.saturating_sub(10)).collect();
    let before = before.join("\n");
    format!(
        "{before}\n=== from the server, then\n{}\n=== through the proxy, then\n{}",
        rest(direct),
        rest(proxied)
    )
}

/// A rule for the tables of the scenarios that no error of theirs matches: whatever the proxy
/// does to be prepared, nobody must see it.
const IDLE_RULE: &str = r#"
[[rule]]
id = "idle"
constraint = "nosuch_key"
action = "absorb"
"#;

/// All that came back, and what is in the tables afterwards.
#[derive(PartialEq)]
struct Transcript {
    messages: Vec<Message>,
    unframed: Vec<u8>,
    tables: String,
}

impl Transcript {
    fn of(scenario: &Scenario, database: &Database, address: SocketAddr, cut: Cut) -> Self {
        database.sql(RESET);
        let mut wire = Wire::open(address);
        wire.cut(cut);
        let (mut messages, mut unframed) = (Vec::new(), Vec::new());
        for step in &scenario.steps {
            match step {
                Startup(parameters) => {
                    let with_database =
                        [&[("database", database.name.as_str())], *parameters].concat();
                    wire.send(&wire::startup(&with_database));
                }
                Send(bytes) => wire.send(bytes),
                Await(tag, count) => messages.extend(wire.until(*tag, *count)),
                Byte => unframed.extend(wire.byte()),
                HalfClose => wire.half_close(),
                Elsewhere(sql) => drop(database.sql(sql)),
                Cancel => {
                    let key = messages.iter().find(|message| message.tag == b'K').unwrap();
                    let mut other = Wire::open(address);
                    other.send(&wire::cancel_request(&key.body));
                    assert!(other.rest().0.is_empty());
                }
            }
        }
        let (rest, incomplete) = wire.rest();
        messages.extend(rest);
        unframed.extend(incomplete);
        messages.retain(|message| !scenario.ignored.contains(&message.tag));
        for message in &mut messages {
            mask(message, scenario.counted);
        }
        // What is prepared is the server's, and other tests have theirs.
        let tables = database.sql(
            "TABLE t ORDER BY id; TABLE d; TABLE loud;
             SELECT gid FROM pg_prepared_xacts WHERE database = current_database()",
        );
        Self { messages, unframed, tables }
    }

    fn text(&self) -> String {
        let unframed = self.unframed.escape_ascii();
        format!("{}unframed: {unframed}\ntables:\n{}", lines(&self.messages), self.tables)
    }
}

fn mask(message: &mut Message, counted: &[u8]) {
    let masked = match message.tag {
        b'K' => message.body.len(),
        b'A' => 4,
        tag if counted.contains(&tag) => {
            message.body.clear();
            0
        }
        _ => 0,
    };
    message.body[..masked].fill(0);
}

/// What each run finds. The tables stay the same ones, and so do the object ids in row
/// descriptions; a fresh database for each run would take ten times as long.
const RESET: &str = "
TRUNCATE t, d, loud;
INSERT INTO t VALUES (1, 'one'), (2, 'two');
INSERT INTO d VALUES (1);
";

/// A procedure that commits; before 11 there is none, and the server's word to that passes.
const PROCEDURE: &str = "
CREATE PROCEDURE in_pieces() LANGUAGE plpgsql AS $$
    BEGIN INSERT INTO t VALUES (800, 'kept'); COMMIT;
          INSERT INTO t VALUES (801, 'lost'); INSERT INTO t VALUES (1, 'again'); END $$;
";

const SCHEMA: &str = "
CREATE TABLE t (id int PRIMARY KEY, v text);
CREATE TABLE d (id int UNIQUE DEFERRABLE INITIALLY DEFERRED);
CREATE TABLE loud (id int PRIMARY KEY);
CREATE FUNCTION shout() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN RAISE NOTICE 'row %', new.id; RAISE WARNING 'again'; RETURN new; END $$;
CREATE TRIGGER shout BEFORE INSERT ON loud FOR EACH ROW EXECUTE PROCEDURE shout();
CREATE FUNCTION rows_then_error(n int) RETURNS int LANGUAGE plpgsql AS $$
    BEGIN IF n > 14 THEN INSERT INTO t VALUES (1, 'again'); END IF; RETURN n; END $$;
CREATE FUNCTION sleeps(who text) RETURNS void LANGUAGE plpgsql AS $$
    BEGIN WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = who
            AND datname = current_database() AND wait_event = 'PgSleep') LOOP
        PERFORM pg_sleep(0.005); PERFORM pg_stat_clear_snapshot();
    END LOOP; END $$;
CREATE PUBLICATION p FOR TABLE t;
";
