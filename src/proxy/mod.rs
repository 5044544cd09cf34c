//! The shell: listeners, workers, and the sockets of every session. All effects are here.
//!
//! One thread accepts; each connection then belongs to one of the workers, one a core: it logs in on the
//! worker's runtime, and goes on there with TLS, or else on the worker's relay. A client connection has one
//! server connection of its own, so nothing is pooled and a cancel needs no table.

pub mod access;
mod admin;
mod breaker;
mod catalogs;
mod connection;
mod drain;
mod established;
mod greeting;
pub mod inherited;
pub mod log;
mod login;
mod lost;
mod memory;
mod meter;
mod metrics;
mod places;
mod polled;
mod pulse;
mod readiness;
mod refusal;
mod relay;
mod reloads;
mod ruling;
mod side;
mod socket;
mod startup;
mod status;
mod stopping;
pub mod tls;
mod upstream;
mod upstreams;
mod worker;

use std::io;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use sha2::Digest as _;
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::config::{Address, KeyValues, Limits};
use crate::rules::Ruleset;
use crate::wire::target::TargetSessionAttrs;

use access::Access;
use admin::Admin;
use catalogs::LIFETIME;
pub use drain::Stop;
use inherited::Inherited;
pub use lost::LostLines;
use memory::Memory;
use metrics::{Metrics, Standing};
use places::Places;
use pulse::{Duty, Phase, Pulse};
pub use reloads::Reloaded;
use reloads::Reloads;
use ruling::Rulings;
pub(crate) use ruling::in_force;
use socket::{Listener, Sharing};
use status::History;
pub(crate) use status::reasons::explain as meaning;
use stopping::Stopping;
use upstreams::Upstreams;
use worker::Worker;

/// How long accepting pauses when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a proxy needs to run.
#[derive(Debug)]
pub struct Settings {
    /// Where clients connect.
    pub listen: Vec<Address>,
    /// Sockets that are there already; where there are any, nothing of `listen` is bound.
    pub inherited: Vec<Inherited>,
    /// Whether other processes may listen in the same places, and share the clients.
    pub reuse_port: bool,
    /// The servers, in the order in which they are tried.
    pub upstream: Vec<Address>,
    /// What a server has to be.
    pub target_session_attrs: TargetSessionAttrs,
    /// Encryption on both legs, and the users that the proxy makes sure of.
    pub access: Access,
    /// Where health and metrics are told, if anywhere.
    pub admin: Option<Address>,
    /// Whether a reload may be asked for there.
    pub admin_reload: bool,
    /// What [`fingerprint`] says of the rules file.
    pub fingerprint: String,
    /// Numbers of connections, times and sizes.
    pub limits: Limits,
    /// What becomes of duplicate keys.
    pub rules: Ruleset,
    /// Whether the values of duplicate keys are logged.
    pub key_values: KeyValues,
    /// How many log lines were lost, for the metrics.
    pub lost_lines: LostLines,
}

/// Why a proxy could not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// The address as it was written.
        address: Address,
        /// What the system said.
        error: io::Error,
    },
    /// A socket that was passed is of no use here.
    #[error("cannot use a socket that was passed: {0}")]
    Inherited(io::Error),
    /// The system gave no thread or no event queue.
    #[error("cannot start a worker: {0}")]
    Worker(io::Error),
}

/// What all sessions see.
#[derive(Debug)]
struct Shared {
    upstreams: Upstreams,
    access: ArcSwap<Access>,
    limits: Limits,
    rulings: Arc<Rulings>,
    key_values: log::KeyLog,
    metrics: Metrics,
    history: History,
    lost_lines: LostLines,
    started: SystemTime,
    places: Places,
    memory: Arc<Memory>,
    next_session: AtomicU64,
    /// The proxy is not ready for more, whatever the server is.
    is_leaving: AtomicBool,
    /// Sessions end between their transactions.
    draining: Stopping,
    /// Sessions end.
    stopping: Stopping,
    /// None where nobody may ask for one.
    reloads: Option<Reloads>,
    pulse: Pulse,
}

/// A proxy whose sockets are bound.
#[derive(Debug)]
pub struct Proxy {
    runtime: Runtime,
    listeners: Vec<Listener>,
    admin: Option<Admin>,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Binds every address, or none.
    pub fn bind(settings: Settings) -> Result<Self, StartError> {
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(StartError::Worker)?;
        let mut listeners = Vec::new();
        let listen = if settings.inherited.is_empty() { settings.listen } else { Vec::new() };
        for inherited in settings.inherited {
            let _entered = runtime.enter();
            listeners.push(inherited.listen().map_err(StartError::Inherited)?);
        }
        let sharing = if settings.reuse_port { Sharing::Shared } else { Sharing::Alone };
        for address in listen {
            let bound = runtime.block_on(Listener::bind(&address, sharing));
            listeners.push(bound.map_err(|error| StartError::Listen { address, error })?);
        }
        let admin = settings.admin.map(Admin::bind).transpose()?;
        let mut metrics = Metrics::new(&settings.rules);
        metrics.read_from(&settings.fingerprint);
        let rulings = Arc::new(Rulings::new(settings.rules));
        let connections = metrics.servers(&settings.upstream);
        let servers = settings.upstream.into_iter().zip(connections);
        let memory = Arc::new(Memory::new(settings.limits.memory, metrics.memory_waits()));
        metrics.also(Standing {
            memory: Arc::clone(&memory),
            rulings: Arc::clone(&rulings),
            lost_lines: settings.lost_lines.clone(),
            limit: settings.limits.connections,
        });
        let shared = Arc::new(Shared {
            upstreams: Upstreams::new(servers, settings.target_session_attrs),
            access: ArcSwap::from_pointee(settings.access),
            places: Places::new(settings.limits),
            memory,
            limits: settings.limits,
            metrics,
            history: History::default(),
            lost_lines: settings.lost_lines,
            started: SystemTime::now(),
            rulings,
            key_values: log::KeyLog::new(settings.key_values),
            next_session: AtomicU64::new(1),
            is_leaving: AtomicBool::new(false),
            draining: Stopping::default(),
            stopping: Stopping::default(),
            reloads: settings.admin_reload.then(Reloads::default),
            pulse: Pulse::default(),
        });
        shared.pulse.watch(Duty::Accept, runtime.handle());
        Ok(Self { runtime, listeners, admin, shared })
    }

    /// The addresses in use, with the ports that the system chose.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.listeners.iter().filter_map(|listener| listener.address().ok()).collect()
    }

    /// What changes the rules while it runs.
    #[must_use]
    pub fn handle(&self) -> Handle {
        Handle { shared: Arc::clone(&self.shared) }
    }

    /// Where health and metrics are told, with the port that the system chose.
    #[must_use]
    pub fn admin_address(&self) -> Option<Address> {
        self.admin.as_ref().and_then(Admin::address)
    }

    /// Serves until `stop` says that it is to end, and how; where it drains, `stop` is asked again,
    /// and whatever it says then ends the rest at once.
    pub fn run(self, stop: impl AsyncFnMut() -> Stop) -> Result<(), StartError> {
        let Self { runtime, listeners, admin, shared } = self;
        let count = thread::available_parallelism().map_or(1, NonZero::get);
        let workers = (0..count)
            .map(|number| Worker::start(number, &shared))
            .collect::<Result<Vec<_>, _>>()
            .map_err(StartError::Worker)?;
        let admin = admin.map(|admin| admin.start(&shared)).transpose();
        let admin = admin.map_err(StartError::Worker)?;
        runtime.block_on(async {
            tokio::select! {
                () = drain::serve(&shared, listeners, &workers, stop) => {}
                () = shared.rulings.expire_every(LIFETIME) => {}
                () = shared.rulings.keep_time() => {}
            }
        });
        shared.is_leaving.store(true, Ordering::Relaxed);
        shared.stopping.say();
        for worker in workers {
            worker.join();
        }
        if let Some(admin) = admin {
            admin.stop();
        }
        Ok(())
    }
}

/// Tells one rules file from another: SHA-256 of its text, in hexadecimal digits.
#[must_use]
pub fn fingerprint(text: &str) -> String {
    hex::encode(sha2::Sha256::digest(text))
}

/// Changes the rules of a proxy that runs, and asks how it is.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    /// Puts other rules in force, of the file with this fingerprint, and returns their number: those at the start are 1. Each session
    /// goes by them from its next transaction on.
    #[must_use]
    pub fn replace_rules(&self, rules: Ruleset, fingerprint: &str) -> u64 {
        self.shared.metrics.read_from(fingerprint);
        self.shared.metrics.was_reloaded(&rules);
        self.shared.history.reloaded(None);
        self.shared.rulings.replace(rules)
    }

    /// Goes by other certificates and users for connections that begin from here on.
    pub fn replace_access(&self, access: Access) {
        self.shared.access.store(Arc::new(access));
    }

    /// Waits until someone asks for a reload over HTTP; what came of it is to be sent there.
    pub async fn asked_to_reload(&self) -> oneshot::Sender<Reloaded> {
        match &self.shared.reloads {
            Some(reloads) => reloads.next().await,
            None => std::future::pending().await,
        }
    }

    /// Whether the threads that let clients in and serve them do something that they are asked to
    /// within this time; those that have ended, as they were told to, need not. The calling thread
    /// waits for them.
    #[must_use]
    pub fn answers(&self, within: Duration) -> bool {
        let phase = || if self.shared.stopping.is_said() { Phase::Stops } else { Phase::Runs };
        let at_first = phase();
        // Who did not answer may have been told to end meanwhile.
        self.shared.pulse.beats(within, at_first) || at_first != phase()
    }

    /// Other rules were meant to be in force, and cannot be, for this reason.
    pub fn reject_rules(&self, why: &str) {
        self.shared.metrics.not_reloaded();
        self.shared.history.reloaded(Some(why));
    }
}
