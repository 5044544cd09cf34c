//! A relay between the proxy and the server, that sees every message and lets a fault happen at
//! one of them.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::admin::Admin;
use super::fault::{At, Fault, Spot, What, When, spots, substituted};
use crate::support::postgres::server;
use crate::support::wait_until;
use crate::support::wire::{self, Message, Wire};

/// Where the proxy believes the server to be.
pub struct Relay(TcpListener);

impl Relay {
    pub fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        Self(listener)
    }

    pub fn address(&self) -> String {
        self.0.local_addr().unwrap().to_string()
    }

    /// The proxy's next connection, on which a fault is to happen; `client` is the other end.
    pub fn accept(&self, fault: Fault, admin: &Arc<Mutex<Admin>>, client: TcpStream) -> Link {
        let mut accepted = None;
        wait_until("the proxy connects", || {
            accepted = self.0.accept().ok();
            accepted.is_some()
        });
        let (proxy, _) = accepted.unwrap();
        proxy.set_nonblocking(false).unwrap();
        Link::new(fault, Arc::clone(admin), client, proxy)
    }
}

/// One connection through the relay.
pub struct Link {
    shared: Arc<Shared>,
    pumps: [JoinHandle<()>; 2],
}

/// What either direction has seen.
#[derive(Default)]
struct Shared {
    seen: Mutex<Seen>,
    changed: Condvar,
}

#[derive(Clone, Default)]
pub struct Seen {
    pub lines: Vec<String>,
    logged_in: bool,
    /// The body of BackendKeyData.
    key: Vec<u8>,
    /// ErrorResponses of the server's.
    errors: usize,
    /// Whether the fault has happened.
    pub fired: bool,
}

impl Seen {
    pub fn pid(&self) -> u32 {
        u32::from_be_bytes(self.key[..4].try_into().unwrap())
    }
}

impl Link {
    fn new(fault: Fault, admin: Arc<Mutex<Admin>>, client: TcpStream, proxy: TcpStream) -> Self {
        let server = TcpStream::connect(server().address()).unwrap();
        for stream in [&proxy, &server] {
            stream.set_nodelay(true).unwrap();
        }
        let shared = Arc::new(Shared::default());
        let backend = Backend {
            proxy: proxy.try_clone().unwrap(),
            server: server.try_clone().unwrap(),
            shared: Arc::clone(&shared),
        };
        let (count, found, armed) = (0, 0, false);
        let shared_too = Arc::clone(&shared);
        let frontend = Frontend {
            shared: shared_too,
            proxy,
            server,
            client,
            admin,
            fault,
            count,
            found,
            armed,
        };
        let pumps = [thread::spawn(move || frontend.run()), thread::spawn(move || backend.run())];
        Self { shared, pumps }
    }

    pub fn seen(&self) -> Seen {
        self.shared.seen.lock().unwrap().clone()
    }

    pub fn note(&self, line: String) {
        self.shared.note(line);
    }

    /// Waits for the end of both directions, which the end of either side brings on.
    pub fn join(self) {
        for pump in self.pumps {
            pump.join().expect("the relay goes on to its end");
        }
    }
}

impl Shared {
    fn errors(&self) -> usize {
        self.seen.lock().unwrap().errors
    }

    fn note(&self, line: String) {
        self.seen.lock().unwrap().lines.push(line);
    }
}

/// From the server to the proxy.
struct Backend {
    proxy: TcpStream,
    server: TcpStream,
    shared: Arc<Shared>,
}

impl Backend {
    fn run(mut self) {
        while let Ok(message) = read(&mut self.server) {
            let mut seen = self.shared.seen.lock().unwrap();
            if seen.logged_in {
                seen.lines.push(format!("        server {message}"));
            }
            seen.logged_in |= message.tag == b'Z';
            seen.errors += usize::from(message.tag == b'E');
            if message.tag == b'K' {
                seen.key.clone_from(&message.body);
            }
            drop(seen);
            self.shared.changed.notify_all();
            if self.proxy.write_all(&wire::message(message.tag, &message.body)).is_err() {
                break;
            }
        }
        let _ = self.proxy.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// From the proxy to the server, with the fault.
struct Frontend {
    shared: Arc<Shared>,
    proxy: TcpStream,
    server: TcpStream,
    client: TcpStream,
    admin: Arc<Mutex<Admin>>,
    fault: Fault,
    /// Messages.
    count: usize,
    /// Commands of the proxy's own, of the kind at which the fault is to happen.
    found: usize,
    /// The fault happens at the next Execute: its command has been parsed.
    armed: bool,
}

impl Frontend {
    fn run(mut self) {
        let _ = self.startup();
        while let Ok(message) = read(&mut self.proxy) {
            let text = message.body.escape_ascii().to_string();
            let tag = char::from(message.tag);
            self.shared.note(format!("        proxy  {tag} {text:.300}"));
            self.message(&message);
        }
        let _ = self.server.shutdown(Shutdown::Write);
    }

    fn startup(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.proxy.read_exact(&mut length)?;
        let mut rest = vec![0; u32::from_be_bytes(length) as usize - 4];
        self.proxy.read_exact(&mut rest)?;
        self.server.write_all(&[&length[..], &rest].concat())
    }

    fn message(&mut self, message: &Message) {
        let as_it_is = wire::message(message.tag, &message.body);
        if self.shared.seen.lock().unwrap().fired {
            return self.send(&as_it_is);
        }
        self.count += 1;
        match self.fault.at {
            At::Message(number) if number == self.count => self.fire(&as_it_is),
            At::Message(_) => self.send(&as_it_is),
            At::Own(spot, number) => self.at_own(spot, number, message, &as_it_is),
        }
    }

    fn at_own(&mut self, spot: Spot, number: usize, message: &Message, as_it_is: &[u8]) {
        if self.armed && message.tag == b'E' {
            return self.fire(as_it_is);
        }
        for (_, range) in spots(message).into_iter().filter(|(it, _)| *it == spot) {
            self.found += 1;
            if self.found == number {
                let text = str::from_utf8(&message.body[range.clone()]).unwrap();
                let substitute = self.fault.substitute(spot, message.tag, text);
                let bytes = substitute.map(|text| substituted(message, range, &text));
                let bytes = bytes.as_deref().unwrap_or(as_it_is);
                if message.tag == b'Q' || self.fault.when == When::Before {
                    return self.fire(bytes);
                }
                self.armed = true;
                return self.send(bytes);
            }
        }
        self.send(as_it_is);
    }

    fn fire(&mut self, bytes: &[u8]) {
        self.shared.seen.lock().unwrap().fired = true;
        self.shared.note(format!("        fault  {:?}", self.fault));
        match (self.fault.what, self.fault.when) {
            (What::Refuse, _) => self.send(bytes),
            (What::Timeout, When::After) if bytes.first() != Some(&b'Q') => {
                // Until then the server waits for the rest of what it has begun.
                self.wait_for_error(Duration::from_millis(250));
                self.send(bytes);
            }
            (_, When::Before) => {
                self.act(false);
                self.send(bytes);
            }
            (_, When::During) | (What::Timeout, _) => self.fire_during(bytes),
            (_, When::After) => {
                self.send(bytes);
                self.act(true);
            }
        }
    }

    /// The server is made to wait in a statement, if this message has it run one.
    fn fire_during(&mut self, bytes: &[u8]) {
        let pid = self.pid();
        self.admin.lock().unwrap().close_gate();
        self.send(bytes);
        let waits = self.admin.lock().unwrap().waits_at_gate(pid);
        self.shared.note(format!("        fault  at the gate: {waits}"));
        let errors = self.shared.errors();
        self.act(false);
        let mut admin = self.admin.lock().unwrap();
        let dropped = matches!(self.fault.what, What::DropServer | What::DropClient);
        if waits && dropped && self.fault.spot().is_some_and(|spot| spot != Spot::Redo) {
            // It waits in the place of another command, without which it must not go on.
            admin.terminate(pid);
        } else if waits && !dropped {
            // A statement behind the one that has failed may be at the gate by now.
            wait_until("the server leaves the gate", || {
                self.shared.errors() != errors || !admin.is_at_gate(pid)
            });
        }
        admin.open_gate();
    }

    fn act(&mut self, at_once: bool) {
        match self.fault.what {
            What::Cancel if at_once => self.admin.lock().unwrap().cancel(self.pid()),
            What::Cancel => {
                let mut cancel = Wire::open(server().address());
                let key = self.shared.seen.lock().unwrap().key.clone();
                cancel.send(&wire::cancel_request(&key));
                cancel.rest();
            }
            What::Terminate => self.admin.lock().unwrap().terminate(self.pid()),
            What::DropServer => {
                let _ = self.proxy.shutdown(Shutdown::Both);
                let _ = self.server.shutdown(Shutdown::Both);
            }
            What::DropClient => {
                let _ = self.client.shutdown(Shutdown::Both);
            }
            What::Timeout | What::Refuse => {}
        }
    }

    fn pid(&self) -> u32 {
        self.shared.seen.lock().unwrap().pid()
    }

    fn wait_for_error(&self, limit: Duration) {
        let seen = self.shared.seen.lock().unwrap();
        let before = seen.errors;
        let waited =
            self.shared.changed.wait_timeout_while(seen, limit, |seen| seen.errors == before);
        drop(waited.unwrap());
    }

    /// That the server is gone is seen when reading.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.server.write_all(bytes);
    }
}

fn read(stream: &mut TcpStream) -> io::Result<Message> {
    let mut header = [0; 5];
    stream.read_exact(&mut header)?;
    let [tag, length @ ..] = header;
    let mut body = vec![0; u32::from_be_bytes(length) as usize - 4];
    stream.read_exact(&mut body)?;
    Ok(Message { tag, body })
}
