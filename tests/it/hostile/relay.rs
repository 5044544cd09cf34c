//! A relay between the proxy and the server, that breaks the proxy's connection at a message, or
//! passes the server's bytes one at a time.

use std::cell::Cell;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, sink};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};

use crate::support::postgres::server;

/// Where the proxy believes the server to be.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    /// Its thread ends with this.
    _end: oneshot::Sender<()>,
}

#[derive(Default)]
struct Shared {
    /// What happens to the next connection.
    next: Mutex<Treatment>,
    /// Connections whose server process is not known to have ended.
    open: AtomicUsize,
    /// Messages that the last connection to end has passed, of the proxy's and of the server's.
    passed: [AtomicUsize; 2],
    fired: AtomicBool,
    cut: AtomicBool,
}

/// What happens to a connection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Treatment {
    #[default]
    Passes,
    /// Each byte of the server's is written by itself.
    Bytewise,
    Reset(Reset),
}

/// The proxy's connection is reset when this message has come to the relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reset {
    pub from: From,
    /// The number of the message.
    pub at: usize,
    /// Whether half of it passes, or nothing.
    pub half: bool,
    pub counted: Counted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    Proxy,
    Server,
}

/// Which messages have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// All, the first packet included.
    FromStart,
    /// Those behind the first ReadyForQuery.
    FromReady,
}

impl Relay {
    /// Before the server that all tests share.
    pub fn start() -> Self {
        Self::before(server().address())
    }

    /// Before this server.
    pub fn before(server: SocketAddr) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let serving = Arc::clone(&shared);
        let (end, ended) = oneshot::channel();
        thread::spawn(move || {
            let runtime = Builder::new_current_thread().enable_io().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                tokio::select! {
                    () = accept(listener, server, serving) => {}
                    _ = ended => {}
                }
            });
        });
        Self { address, shared, _end: end }
    }

    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What happens to the next connection.
    pub fn treat(&self, treatment: Treatment) {
        *self.shared.next.lock().unwrap() = treatment;
        let is_half = |it| matches!(it, Treatment::Reset(Reset { half: true, .. }));
        self.shared.cut.store(is_half(treatment), Ordering::SeqCst);
        self.shared.fired.store(false, Ordering::SeqCst);
    }

    /// Whether every server process has ended that was connected to.
    pub fn is_quiet(&self) -> bool {
        self.shared.open.load(Ordering::SeqCst) == 0
    }

    /// Whether the last connection was reset.
    pub fn has_fired(&self) -> bool {
        self.shared.fired.load(Ordering::SeqCst)
    }

    /// Whether it was reset within a message.
    pub fn has_cut(&self) -> bool {
        self.shared.cut.load(Ordering::SeqCst)
    }

    /// How many messages the last connection has passed.
    pub fn passed(&self, from: From) -> usize {
        self.shared.passed[from as usize].load(Ordering::SeqCst)
    }
}

async fn accept(listener: std::net::TcpListener, server: SocketAddr, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let (proxy, _) = listener.accept().await.unwrap();
        shared.open.fetch_add(1, Ordering::SeqCst);
        let treatment = std::mem::take(&mut *shared.next.lock().unwrap());
        let shared = Arc::clone(&shared);
        spawn_local(async move {
            let server = TcpStream::connect(server).await.unwrap();
            relay(proxy, server, treatment, &shared).await;
            shared.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Why a direction goes no further.
#[derive(PartialEq, Eq)]
enum Stop {
    Ended,
    Reset,
}

/// One connection, to the end of the server's process.
async fn relay(mut proxy: TcpStream, mut server: TcpStream, treatment: Treatment, shared: &Shared) {
    for stream in [&proxy, &server] {
        stream.set_nodelay(true).unwrap();
    }
    let ready = Cell::new(false);
    let passed = [0, 0].map(Cell::new);
    let (mut from_proxy, mut to_proxy) = proxy.split();
    let (mut from_server, mut to_server) = server.split();
    let lane = |from| Lane { from, treatment, ready: &ready, passed: &passed[from as usize] };
    let stop = tokio::select! {
        stop = lane(From::Proxy).run(&mut from_proxy, &mut to_server) => stop,
        stop = lane(From::Server).run(&mut from_server, &mut to_proxy) => stop,
    };
    for (last, passed) in shared.passed.iter().zip(&passed) {
        last.store(passed.get(), Ordering::SeqCst);
    }
    if stop == Stop::Reset {
        shared.fired.store(true, Ordering::SeqCst);
        SockRef::from(&proxy).set_linger(Some(Duration::ZERO)).unwrap();
    }
    drop(proxy);
    // Its process is at the end of what it was sent when it closes.
    let _ = server.shutdown().await;
    let _ = tokio::io::copy(&mut server, &mut sink()).await;
}

/// One direction.
struct Lane<'a> {
    from: From,
    treatment: Treatment,
    /// Whether ReadyForQuery has passed.
    ready: &'a Cell<bool>,
    passed: &'a Cell<usize>,
}

impl Lane<'_> {
    async fn run(
        self,
        input: &mut (impl AsyncRead + Unpin),
        output: &mut (impl AsyncWrite + Unpin),
    ) -> Stop {
        let mut is_first = self.from == From::Proxy;
        while let Ok(message) = read(input, std::mem::take(&mut is_first)).await {
            if let Some(reset) = self.reset() {
                if reset.half {
                    let _ = output.write_all(&message[..message.len().div_ceil(2)]).await;
                    // What is not read is lost with a reset.
                    yield_often().await;
                }
                return Stop::Reset;
            }
            self.count();
            let bytewise = self.treatment == Treatment::Bytewise && self.from == From::Server;
            let piece = if bytewise { 1 } else { message.len() };
            for bytes in message.chunks(piece) {
                if output.write_all(bytes).await.is_err() {
                    return Stop::Ended;
                }
            }
            self.ready.set(self.ready.get() || message[0] == b'Z' && self.from == From::Server);
        }
        Stop::Ended
    }

    fn is_counted(&self) -> bool {
        match self.treatment {
            Treatment::Reset(Reset { counted: Counted::FromStart, .. }) => true,
            _ => self.ready.get(),
        }
    }

    fn count(&self) {
        self.passed.set(self.passed.get() + usize::from(self.is_counted()));
    }

    fn reset(&self) -> Option<Reset> {
        let Treatment::Reset(reset) = self.treatment else { return None };
        let is_here = reset.from == self.from && reset.at == self.passed.get();
        (is_here && self.is_counted()).then_some(reset)
    }
}

/// Lets others go on for a while.
async fn yield_often() {
    for _ in 0..20 {
        let mut yielded = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut yielded, true) {
                return std::task::Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            std::task::Poll::Pending
        })
        .await;
        thread::yield_now();
    }
}

/// A whole message; the first packet has no tag.
async fn read(input: &mut (impl AsyncRead + Unpin), is_first: bool) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; if is_first { 4 } else { 5 }];
    input.read_exact(&mut message).await?;
    let header = message.len();
    let length = u32::from_be_bytes(message[header - 4..].try_into().unwrap()) as usize;
    message.resize(header - 4 + length, 0);
    input.read_exact(&mut message[header..]).await?;
    Ok(message)
}
