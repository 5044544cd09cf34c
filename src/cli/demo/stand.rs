//! The proxy of the demo: what `pgabsorb run` runs, in this process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::{self, JoinHandle};

use anyhow::{Context as _, anyhow, bail};
use tokio::sync::oneshot;

use crate::cli::logging::{self, Logging};
use crate::cli::run;
use crate::config::{self, Address, Config, LogFormat, Overrides};
use crate::proxy::{LostLines, Proxy, StartError, Stop, fingerprint};

/// A running proxy with the repository's own rules; stopped when dropped.
#[derive(Debug)]
pub(super) struct Stand {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<Result<(), StartError>>>,
    log: PathBuf,
    flush: Option<Logging>,
}

impl Stand {
    /// Starts a proxy before a server, with its log in a file that does not exist yet.
    pub(super) fn start(server: SocketAddr, log: &Path) -> anyhow::Result<Self> {
        let Config { mut settings, rules, .. } = config::parse(RULES, &overrides(server))
            .map_err(|mistakes| anyhow!("{}", mistakes.in_file("rules.toml")))?;
        settings.log.file = Some(log.to_owned());
        // It is read back, field by field.
        settings.log.format = LogFormat::Json;
        let flush = logging::start(&settings.log)?;
        let proxy =
            run::bind(settings, rules, LostLines::default(), fingerprint(RULES), Vec::new())?;
        let address = address(&proxy)?;
        let (stop, mut stopped) = oneshot::channel::<()>();
        let thread = thread::spawn(move || {
            proxy.run(async || {
                // A sender that is gone says the same.
                let _ = (&mut stopped).await;
                Stop::Now
            })
        });
        let (stop, thread, flush) = (Some(stop), Some(thread), Some(flush));
        Ok(Self { address, stop, thread, log: log.to_owned(), flush })
    }

    /// Where it listens.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends every session, and returns all that was logged.
    pub(super) fn stop(mut self) -> anyhow::Result<String> {
        match self.halt() {
            Some(Ok(result)) => result?,
            Some(Err(_)) => bail!("the proxy ended in a panic"),
            None => {}
        }
        fs::read_to_string(&self.log).with_context(|| format!("{}", self.log.display()))
    }

    /// Waits for the proxy's end, then for the last line of its log.
    fn halt(&mut self) -> Option<thread::Result<Result<(), StartError>>> {
        drop(self.stop.take());
        let result = self.thread.take().map(JoinHandle::join);
        drop(self.flush.take());
        result
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        // Whoever wants to know calls `stop`.
        let _ = self.halt();
    }
}

fn overrides(server: SocketAddr) -> Overrides {
    let tcp =
        |address: SocketAddr| Address::Tcp { host: address.ip().to_string(), port: address.port() };
    let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Overrides { listen: vec![tcp(anywhere)], upstream: vec![tcp(server)] }
}

fn address(proxy: &Proxy) -> anyhow::Result<SocketAddr> {
    let addresses = proxy.addresses();
    let address = addresses.first().context("the proxy listens nowhere")?;
    Ok(address.to_string().parse()?)
}

/// The file that this repository's readers see.
const RULES: &str = include_str!("../../../rules.toml");
