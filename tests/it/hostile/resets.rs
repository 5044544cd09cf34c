//! Connections that are reset, by the client or by the server, before and within each message of
//! each flow: what was told to have succeeded is stored, what was not sent is not, the next client
//! is served, and nothing is left of the session.

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use socket2::SockRef;

use super::relay::{Counted, From, Relay, Reset, Treatment};
use super::{RULES, TABLES, number, wait_for_rest};
use crate::shell::process::Process;
use crate::support::postgres::{Database, server};
use crate::support::wire::{
    Message, Wire, bind, copy_data, copy_done, describe, execute, parse, query, startup, sync,
    terminate,
};
use crate::support::{PATIENCE, wait_until};

/// What a client sends, message by message, and awaits the answer of.
struct Exchange {
    messages: Vec<Vec<u8>>,
    /// It is over with a message of this tag: from there on what it did stays.
    until: u8,
    /// The rows that are stored then: numbers that each session adds its own to.
    stores: &'static [i32],
    table: &'static str,
}

/// The flow of a session, behind its login.
type Flow = fn(i32) -> Vec<Exchange>;

#[test]
fn at_every_message_of_a_login() {
    let stage = Stage::new();
    stage.play(|_| Vec::new(), Counted::FromStart);
}

#[test]
fn at_every_message_of_simple_queries() {
    let flow: Flow = |base| {
        vec![
            simple("t", base + 1, &[1]),
            // Absorbed: nothing is stored.
            simple("t", 0, &[]),
            simple("t", base + 2, &[2]),
        ]
    };
    Stage::new().play(flow, Counted::FromReady);
}

#[test]
fn at_every_message_of_the_extended_protocol() {
    let flow: Flow = |base| {
        vec![
            extended("t", &[base + 1], &[1]),
            extended("t", &[0], &[]),
            extended("t", &[base + 2], &[2]),
        ]
    };
    Stage::new().play(flow, Counted::FromReady);
}

#[test]
fn at_every_message_of_a_transaction_with_savepoints() {
    let flow: Flow = |base| {
        let insert = |rows: String| Exchange {
            messages: vec![query(&format!("INSERT INTO t VALUES {rows}"))],
            ..command("")
        };
        vec![
            command("BEGIN"),
            insert(format!("({})", base + 1)),
            command("SAVEPOINT mine"),
            insert("(0)".to_owned()),
            // Undone, and run again with ON CONFLICT.
            insert(format!("(0), ({})", base + 2)),
            Exchange { stores: &[], ..extended("t", &[base + 3, 0], &[]) },
            command("RELEASE mine"),
            Exchange { stores: &[1, 2, 3], ..command("COMMIT") },
        ]
    };
    Stage::new().play(flow, Counted::FromReady);
}

#[test]
fn at_every_message_of_what_is_rewritten() {
    let flow: Flow = |base| {
        vec![
            simple("r", base + 1, &[1]),
            simple("r", 0, &[]),
            extended("r", &[base + 2, 0, base + 3], &[2, 3]),
        ]
    };
    Stage::new().play(flow, Counted::FromReady);
}

#[test]
fn at_every_message_of_copy() {
    let flow: Flow = |base| {
        let row = |id: i32| copy_data(format!("{id}\n").as_bytes());
        let begin = Exchange { until: b'G', ..command("COPY t FROM STDIN") };
        let data = vec![row(base + 1), row(base + 2), copy_done()];
        vec![
            begin,
            Exchange { messages: data, stores: &[1, 2], ..command("") },
            simple("t", 0, &[]),
        ]
    };
    Stage::new().play(flow, Counted::FromReady);
}

fn command(sql: &str) -> Exchange {
    Exchange { messages: vec![query(sql)], until: b'Z', stores: &[], table: "t" }
}

/// A statement of its own, which is committed when it is said to be complete.
fn simple(table: &'static str, id: i32, stores: &'static [i32]) -> Exchange {
    let messages = vec![query(&format!("INSERT INTO {table} VALUES ({id})"))];
    Exchange { messages, until: b'C', stores, table }
}

/// A pipeline, which is committed with its Sync.
fn extended(table: &'static str, ids: &[i32], stores: &'static [i32]) -> Exchange {
    let sql = format!("INSERT INTO {table} VALUES ($1)");
    let mut messages = vec![parse("", &sql)];
    for id in ids {
        messages.extend([bind("", "", &[&id.to_string()]), describe(b'P', ""), execute("", 0)]);
    }
    messages.push(sync());
    Exchange { messages, until: b'Z', stores, table }
}

/// A proxy before a relay, and what stands behind it.
struct Stage {
    relay: Relay,
    proxy: Process,
    database: Database,
}

/// Where a client resets its connection: within or before one of its messages, counted from the
/// first packet.
#[derive(Clone, Copy, Debug)]
struct Break {
    at: usize,
    half: bool,
}

impl Stage {
    fn new() -> Self {
        let database = Database::new();
        database.sql(TABLES);
        let relay = Relay::start();
        let proxy = Process::start(RULES, &relay.address());
        Self { relay, proxy, database }
    }

    /// Plays a flow again and again, with each reset that there may be.
    fn play(&self, flow: impl Fn(i32) -> Vec<Exchange>, counted: Counted) {
        let mut base = 0;
        let mut next = || {
            base += 10;
            base
        };
        let mut direct =
            Wire::connect(server().address(), &startup(&[("database", &self.database.name)]));
        let mut at_rest = 0;
        // The first one asks the catalog as well.
        for _ in 0..2 {
            let never = Reset { from: From::Server, at: usize::MAX, half: false, counted };
            self.relay.treat(Treatment::Reset(never));
            let session = Session::new(next(), &flow);
            assert!(session.play(self, None), "the flow itself comes to its end");
            self.settle();
            session.check(&mut direct);
            at_rest = self.proxy.descriptors();
        }
        let mut fired = 0;
        for from in [From::Proxy, From::Server] {
            let messages = self.relay.passed(from);
            for at in 0..messages {
                for half in [false, true].into_iter().filter(|half| !half || from == From::Server) {
                    let reset = Reset { from, at, half, counted };
                    self.relay.treat(Treatment::Reset(reset));
                    let session = Session::new(next(), &flow);
                    session.play(self, None);
                    self.settle();
                    fired += usize::from(self.relay.has_fired());
                    session.check(&mut direct);
                }
            }
            assert!(fired >= messages * 9 / 10, "{fired} of {messages}, {from:?}");
        }
        self.reset_by_client(&flow, &mut next, &mut direct);
        wait_for_rest(&self.proxy, at_rest);
        self.serves();
        println!("{fired} resets by the server, {} sessions", base / 10);
    }

    fn reset_by_client(
        &self,
        flow: &impl Fn(i32) -> Vec<Exchange>,
        next: &mut impl FnMut() -> i32,
        direct: &mut Wire,
    ) {
        let exchanges = flow(0);
        let messages = 1 + exchanges.iter().map(|it| it.messages.len()).sum::<usize>();
        for at in 0..=messages {
            for half in [false, true] {
                let session = Session::new(next(), flow);
                session.play(self, Some(Break { at, half }));
                self.settle();
                session.check(direct);
            }
        }
    }

    /// Waits until the session is over, on all sides.
    fn settle(&self) {
        wait_until("the session is over", || {
            self.relay.is_quiet() && number(&self.proxy, "pgabsorb_sessions") == 0
        });
    }

    /// The next client is served.
    fn serves(&self) {
        let parameters = startup(&[("database", &self.database.name)]);
        let mut client = Wire::connect(self.proxy.address(), &parameters);
        super::assert_absorbs(&mut client);
    }
}

/// One client.
struct Session {
    base: i32,
    exchanges: Vec<Exchange>,
    /// How many exchanges were told to have succeeded, and how many were sent to their last byte.
    told: Cell<usize>,
    sent: Cell<usize>,
}

impl Session {
    fn new(base: i32, flow: &impl Fn(i32) -> Vec<Exchange>) -> Self {
        Self { base, exchanges: flow(base), told: 0.into(), sent: 0.into() }
    }

    /// Plays it to its end, or to where the connection breaks; whether it came to its end.
    fn play(&self, stage: &Stage, breaks: Option<Break>) -> bool {
        let stream = TcpStream::connect(stage.proxy.address()).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        if breaks.is_some() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let mut client = Client { stream, breaks, sent: 0, last_word: None };
        let ended = self.exchange_all(&mut client, &stage.database.name).is_ok();
        if breaks.is_none() {
            let last_word = client.rest();
            // Whoever has said goodbye is told nothing more, nor is one whose message was cut.
            let is_told = ended || stage.relay.has_cut() || last_word.is_some();
            assert!(is_told, "{}: the end without a word", self.base);
        }
        ended
    }

    fn exchange_all(&self, client: &mut Client, database: &str) -> Result<(), Broken> {
        client.send(&startup(&[("database", database)]))?;
        client.until(b'Z')?;
        for exchange in &self.exchanges {
            for message in &exchange.messages {
                client.send(message)?;
            }
            self.sent.set(self.sent.get() + 1);
            client.until(exchange.until)?;
            self.told.set(self.told.get() + 1);
            if exchange.until == b'C' {
                client.until(b'Z')?;
            }
        }
        client.send(&terminate())
    }

    /// What was told to be stored is stored; what was not sent, or cannot have been, is not.
    fn check(&self, direct: &mut Wire) {
        let (told, sent) = (self.told.get(), self.sent.get());
        for table in ["t", "r"] {
            let stored = self.stored(direct, table);
            let mut known = 0;
            for (number, exchange) in self.exchanges.iter().enumerate() {
                let its = if exchange.table == table { exchange.stores } else { &[] };
                let found = its.iter().filter(|id| stored.contains(&(self.base + **id))).count();
                let is_right = match number {
                    _ if number < told => found == its.len(),
                    // The server may have done it and not have come to say so: all, or nothing.
                    _ if number < sent => found == its.len() || found == 0,
                    _ => found == 0,
                };
                let which = format!("exchange {number} of {}: told {told}, sent {sent}", self.base);
                assert!(is_right, "{which}, stored {stored:?}");
                known += found;
            }
            assert_eq!(known, stored.len(), "{}: stored {stored:?}", self.base);
        }
    }

    /// The rows of this session in a table.
    fn stored(&self, direct: &mut Wire, table: &str) -> Vec<i32> {
        let ids = format!("{} AND {}", self.base, self.base + 9);
        let reply = direct.query(&format!("SELECT id FROM {table} WHERE id BETWEEN {ids}"));
        let rows = reply.iter().filter(|it| it.tag == b'D');
        rows.map(|row| str::from_utf8(&row.body[6..]).unwrap().parse().unwrap()).collect()
    }
}

/// Where a connection has broken, on either side.
struct Broken;

/// A client that reads no more than it waits for.
struct Client {
    stream: TcpStream,
    breaks: Option<Break>,
    /// Messages.
    sent: usize,
    /// What the proxy, or the server, has said as its last word.
    last_word: Option<String>,
}

impl Client {
    /// Sends a message, unless the connection breaks there.
    fn send(&mut self, message: &[u8]) -> Result<(), Broken> {
        if let Some(Break { half, .. }) = self.breaks.filter(|it| it.at == self.sent) {
            let half = if half { message.len().div_ceil(2) } else { 0 };
            let _ = self.stream.write_all(&message[..half]);
            return Err(Broken);
        }
        self.sent += 1;
        self.stream.write_all(message).map_err(|_| Broken)
    }

    /// Reads up to a message with this tag.
    fn until(&mut self, tag: u8) -> Result<(), Broken> {
        while self.message()? != tag {}
        Ok(())
    }

    fn message(&mut self) -> Result<u8, Broken> {
        let mut header = [0; 5];
        self.stream.read_exact(&mut header).map_err(|_| Broken)?;
        let [tag, length @ ..] = header;
        let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.stream.read_exact(&mut body).map_err(|_| Broken)?;
        if tag == b'E' {
            let said = Message { tag, body }.to_string();
            // The error of a duplicate is shown if nobody knows any more what has become of it.
            let shown = self.breaks.is_none() && said.contains("SERROR VERROR C23505");
            let is_last = said.contains("SFATAL VFATAL C08006");
            assert!((is_last || shown) && self.last_word.is_none(), "{said}");
            self.last_word = Some(said).filter(|_| is_last);
        }
        Ok(tag)
    }

    /// Reads what is still to come of a connection that the server has broken.
    fn rest(mut self) -> Option<String> {
        while self.message().is_ok() {}
        self.last_word
    }
}
