//! A proxy's process, which never outlives this one, however it ends.
//!
//! As with [`pgabsorb::cli::throwaway`], a shell stands between: it reads a pipe whose only writing
//! end is ours, and when that is closed it kills the proxy and removes its directory.

use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

use anyhow::{Context as _, bail};
use tempfile::TempDir;

/// A running proxy; dropping it kills it.
pub(crate) struct Kept {
    shell: Child,
    pid: u32,
    // Last: the directory goes when the shell is gone.
    _directory: TempDir,
}

impl Kept {
    /// Runs a command, whose output goes to a file in `directory`, and returns when it listens.
    pub(crate) fn start(
        directory: TempDir,
        command: &Command,
        listen: SocketAddr,
    ) -> anyhow::Result<Self> {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", KEEPER, "compare-keeper"])
            .arg(directory.path())
            .arg(command.get_program())
            .args(command.get_args())
            // Out of our process group: Ctrl-C is for us, and the shell then does its work.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let mut line = String::new();
        let said = shell.stdout.take().context("the keeper has no output")?;
        BufReader::new(said).read_line(&mut line)?;
        let log = directory.path().join(LOG);
        let mut kept = Self { shell, pid: 0, _directory: directory };
        kept.pid = line.trim().parse().context("the keeper did not say whom it keeps")?;
        wait_until_it_listens(listen, kept.pid, &log)?;
        Ok(kept)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        drop(self.shell.stdin.take());
        let _ = self.shell.wait();
    }
}

fn wait_until_it_listens(listen: SocketAddr, pid: u32, log: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    while TcpStream::connect(listen).is_err() {
        if Instant::now() > deadline || !Path::new(&format!("/proc/{pid}/stat")).exists() {
            bail!("it did not start:\n{}", fs::read_to_string(log).unwrap_or_default());
        }
        thread::sleep(POLL);
    }
    Ok(())
}

const LOG: &str = "log";
const START_TIMEOUT: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(10);

/// Runs a command with its arguments beside the directory `$1`, says its process id, and ends it
/// when standard input ends: there is nothing that it would have to finish.
const KEEPER: &str = r#"
trap '' HUP INT TERM
directory=$1
shift
"$@" >"$directory/log" 2>&1 </dev/null &
echo "$!"
exec >/dev/null
read -r _
kill -KILL "$!"
wait
rm -rf "$directory"
"#;
