//! A PostgreSQL server of our own, in a temporary directory, for as long as it is needed.
//!
//! The `demo` command, the tests and the benchmarks all start one. It must never outlive its
//! owner, however that one ends (a panic, Ctrl-C, SIGKILL), so the server is not our child but
//! that of a small shell script, its *keeper*. The keeper holds the reading end of a pipe whose
//! only writing end is ours: when we go, the kernel closes it, and the keeper stops the server
//! and removes the directory. `PR_SET_PDEATHSIG` would be shorter and is wrong here: it fires
//! when the *thread* that started the server ends, and it would leave the directory behind.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, PermissionsExt as _, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use tempfile::TempDir;

/// What the server is started with, beyond settings that make it small and fast.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Lines of `pg_hba.conf`, put before the ones that trust every local connection.
    pub hba: Vec<String>,
    /// Settings of `postgresql.conf`, name and value; they win over the built-in ones.
    pub settings: Vec<(String, String)>,
    /// Files that only the server may read, name and text, in the directory above its data.
    pub files: Vec<(String, String)>,
}

impl Options {
    /// Adds one line to `pg_hba.conf`, ahead of the trusting ones.
    #[must_use]
    pub fn hba(mut self, line: &str) -> Self {
        self.hba.push(line.to_owned());
        self
    }

    /// Adds one setting to `postgresql.conf`.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// It starts as a hot standby, of nobody; `pg_promote()` makes it a primary.
    #[must_use]
    pub fn standby(self) -> Self {
        self.file("standby.signal", "")
    }

    /// Adds a file that only the server may read. Settings call it `../name`.
    #[must_use]
    pub fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }
}

/// Why no server could be had.
#[derive(Debug, thiserror::Error)]
pub enum ThrowawayError {
    /// No directory with both `initdb` and `postgres` was found.
    #[error(
        "the PostgreSQL server programs (initdb, postgres) are not installed; on Debian or \
         Ubuntu: apt-get install postgresql; elsewhere install the server package, or name the \
         directory in {BIN_VARIABLE} (looked in: {})", list(.looked_in))]
    NotInstalled {
        /// The directories that were looked into.
        looked_in: Vec<PathBuf>,
    },
    /// We are root, the server refuses to be, and there is no other user to be.
    #[error(
        "the PostgreSQL server does not run as root, and /etc/passwd has neither a user \
         postgres nor nobody to run it as; run as another user, or: apt-get install postgresql"
    )]
    NoUser,
    /// The system refused something.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// `initdb` failed, or the server ended instead of starting.
    #[error("the PostgreSQL server did not start; its log says:\n{log}")]
    Exited {
        /// The server's log.
        log: String,
    },
    /// The server neither started nor ended in time.
    #[error("the PostgreSQL server was not ready after {START_TIMEOUT:?}; its log says:\n{log}")]
    Timeout {
        /// The server's log.
        log: String,
    },
}

/// A running server; dropping it stops the server and removes its directory.
#[derive(Debug)]
pub struct Throwaway {
    keeper: Child,
    address: SocketAddr,
    programs: PathBuf,
    // Last: the directory goes when the keeper is gone.
    directory: TempDir,
}

impl Throwaway {
    /// The superuser of the server, and the database it can connect to.
    pub const SUPERUSER: &'static str = "postgres";

    /// Creates a cluster in a fresh directory and starts a server on a free port of 127.0.0.1
    /// and on a Unix socket in that directory. Returns when it accepts connections.
    pub fn start(options: &Options) -> Result<Self, ThrowawayError> {
        let programs = find_programs()?;
        for _ in 1..START_ATTEMPTS {
            match Self::attempt(&programs, options) {
                Err(ThrowawayError::Exited { log }) if log.contains("Address already in use") => {}
                outcome => return outcome,
            }
        }
        Self::attempt(&programs, options)
    }

    fn attempt(programs: &Path, options: &Options) -> Result<Self, ThrowawayError> {
        let directory = tempfile::Builder::new()
            .prefix("pgabsorb-server-")
            .tempdir()
            .map_err(failed("creating a temporary directory"))?;
        let account = Account::for_owner_of(directory.path())?;
        configure(directory.path(), options, &account)
            .map_err(failed("writing the server's settings"))?;
        let (keeper, address) = launch(programs, directory.path(), &account)?;
        Ok(Self { keeper, address, programs: programs.to_owned(), directory })
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The port of [`Self::address`], and of the Unix socket.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The directory of the server's Unix socket (`.s.PGSQL.<port>`).
    #[must_use]
    pub fn socket_directory(&self) -> &Path {
        self.directory.path()
    }

    /// Where the server's programs are; `psql` and `pgbench` are beside them on most systems.
    #[must_use]
    pub fn programs(&self) -> &Path {
        &self.programs
    }

    /// What the server has logged up to now.
    #[must_use]
    pub fn log(&self) -> String {
        read_log(self.directory.path())
    }
}

impl Drop for Throwaway {
    fn drop(&mut self) {
        stop(&mut self.keeper);
    }
}

/// The user that the server runs as, when it cannot be ourselves.
struct Account(Option<(u32, u32)>);

impl Account {
    /// Root hands the directory over to an unprivileged user; anyone else stays who they are.
    fn for_owner_of(directory: &Path) -> Result<Self, ThrowawayError> {
        let metadata = directory.metadata().map_err(failed("reading the temporary directory"))?;
        if metadata.uid() != 0 {
            return Ok(Self(None));
        }
        let passwd = fs::read_to_string("/etc/passwd").map_err(failed("reading /etc/passwd"))?;
        let (uid, gid) = find_user(&passwd, "postgres")
            .or_else(|| find_user(&passwd, "nobody"))
            .ok_or(ThrowawayError::NoUser)?;
        chown(directory, Some(uid), Some(gid)).map_err(failed("giving the directory away"))?;
        Ok(Self(Some((uid, gid))))
    }

    /// A command that runs as this user, in a directory that it may enter.
    fn command(&self, program: impl Into<OsString>, directory: &Path) -> Command {
        let mut command = Command::new(program.into());
        command.current_dir(directory).env("LC_ALL", "C").env_remove("PGDATA");
        if let Some((uid, gid)) = self.0 {
            command.uid(uid).gid(gid);
        }
        command
    }
}

/// The user's and the group's number in a text in the format of `/etc/passwd`.
fn find_user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let found = fields.next() == Some(name);
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        found.then_some((uid, gid))
    })
}

/// The directory of the server's programs: the one we are told, `pg_config`'s, the newest that
/// Debian has installed, or the first of PATH.
pub(super) fn find_programs() -> Result<PathBuf, ThrowawayError> {
    let mut looked_in: Vec<PathBuf> = Vec::new();
    looked_in.extend(env::var_os(BIN_VARIABLE).map(PathBuf::from));
    let pg_config = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).output();
    if let Ok(Output { stdout, status, .. }) = pg_config
        && status.success()
    {
        looked_in.push(PathBuf::from(String::from_utf8_lossy(&stdout).trim_end()));
    }
    looked_in.extend(debian_versions().into_iter().rev());
    looked_in.extend(env::var_os("PATH").iter().flat_map(env::split_paths));

    let complete = |path: &&PathBuf| path.join("initdb").exists() && path.join("postgres").exists();
    match looked_in.iter().find(complete) {
        Some(path) => Ok(path.clone()),
        None => Err(ThrowawayError::NotInstalled { looked_in }),
    }
}

/// `/usr/lib/postgresql/*/bin`, oldest first.
fn debian_versions() -> Vec<PathBuf> {
    let entries = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().map(|(_, path)| path).collect()
}

/// Writes what the keeper adds to `postgresql.conf`, where the last setting wins, and what it
/// puts before the lines of `pg_hba.conf`, where the first match wins.
fn configure(directory: &Path, options: &Options, account: &Account) -> io::Result<()> {
    let mut settings = String::new();
    let extra = options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    for (name, value) in DEFAULT_SETTINGS.iter().copied().chain(extra) {
        let quoted = value.replace('\'', "''");
        settings.extend([name, " = '", &quoted, "'\n"]);
    }
    fs::write(directory.join("settings"), settings)?;
    let hosts: String = options.hba.iter().flat_map(|line| [line.as_str(), "\n"]).collect();
    fs::write(directory.join("hosts"), hosts)?;
    for (name, text) in &options.files {
        let path = directory.join(name);
        fs::write(&path, text)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        if let Some((uid, gid)) = account.0 {
            chown(&path, Some(uid), Some(gid))?;
        }
    }
    Ok(())
}

/// Starts a keeper with its server on a port that was free a moment ago.
fn launch(
    programs: &Path,
    directory: &Path,
    account: &Account,
) -> Result<(Child, SocketAddr), ThrowawayError> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .and_then(|listener| listener.local_addr())
        .map_err(failed("looking for a free port"))?;
    let mut keeper = account
        .command("/bin/sh", directory)
        .args(["-c", KEEPER, "pgabsorb-keeper"])
        .args([directory, programs])
        .args([&address.port().to_string(), Throwaway::SUPERUSER])
        // Out of our process group: Ctrl-C is for us, and the keeper then does its work.
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed("running /bin/sh"))?;
    match wait_until_ready(&mut keeper, directory) {
        Ok(()) => Ok((keeper, address)),
        Err(error) => {
            stop(&mut keeper);
            Err(error)
        }
    }
}

/// Waits for the word that the server writes into its pid file, the one `pg_ctl` waits for.
fn wait_until_ready(keeper: &mut Child, directory: &Path) -> Result<(), ThrowawayError> {
    let pid_file = directory.join(DATA).join("postmaster.pid");
    let deadline = Instant::now() + START_TIMEOUT;
    while Instant::now() < deadline {
        let status = fs::read_to_string(&pid_file).unwrap_or_default();
        if status.lines().nth(PID_FILE_STATUS_LINE).is_some_and(|word| word.trim() == "ready") {
            return Ok(());
        }
        let ended = keeper.try_wait().map_err(failed("waiting for the server"))?;
        if ended.is_some() || directory.join(EXITED).exists() {
            return Err(ThrowawayError::Exited { log: read_log(directory) });
        }
        thread::sleep(POLL);
    }
    Err(ThrowawayError::Timeout { log: read_log(directory) })
}

/// Closes the keeper's pipe and waits until it has stopped the server.
fn stop(keeper: &mut Child) {
    drop(keeper.stdin.take());
    let deadline = Instant::now() + STOP_TIMEOUT;
    while matches!(keeper.try_wait(), Ok(None)) {
        if Instant::now() > deadline {
            // The server ignores even SIGQUIT: nothing more can be done without root.
            let _ = keeper.kill();
            let _ = keeper.wait();
            return;
        }
        thread::sleep(POLL);
    }
}

fn read_log(directory: &Path) -> String {
    fs::read(directory.join(LOG))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default()
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> ThrowawayError {
    move |source| ThrowawayError::Io { doing, source }
}

fn list(paths: &[PathBuf]) -> String {
    let texts: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
    texts.join(", ")
}

/// Names the directory of the server's programs, before any other place is looked into.
pub const BIN_VARIABLE: &str = "PGABSORB_POSTGRES_BIN";

/// Another program may take the free port before the server does; then another one is tried.
const START_ATTEMPTS: usize = 5;
/// A busy machine takes a second or two.
const START_TIMEOUT: Duration = Duration::from_mins(1);
/// Longer than the keeper's own limits together.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often a file or a process is looked at while waiting for it.
const POLL: Duration = Duration::from_millis(5);
/// The eighth line of `postmaster.pid` is the server's status (since PostgreSQL 10).
const PID_FILE_STATUS_LINE: usize = 7;

const DATA: &str = "data";
const LOG: &str = "server.log";
const EXITED: &str = "exited";

/// Small, fast, and careless of a crash: nothing in this cluster is worth keeping.
const DEFAULT_SETTINGS: &[(&str, &str)] = &[
    ("fsync", "off"),
    ("full_page_writes", "off"),
    ("shared_buffers", "32MB"),
    ("max_connections", "100"),
    ("autovacuum", "off"),
    ("logging_collector", "off"),
];

/// Creates a cluster in the directory `$1` with the programs in `$2`, and runs its server on port
/// `$3` with the superuser `$4`, until its own standard input ends. SIGINT is PostgreSQL's fast
/// shutdown, SIGQUIT its immediate one; a shell that is still busy with initdb hears neither, so
/// they are repeated. A server that ends by itself leaves its log to be read until its owner
/// lets go.
const KEEPER: &str = r#"
trap '' HUP INT TERM
directory=$1 programs=$2 port=$3 superuser=$4 data=$1/data
exec 3<&0 </dev/null
(
    exec 3<&-
    "$programs/initdb" --auth=trust --encoding=UTF8 --no-locale --no-sync \
        --username="$superuser" --pgdata="$data" &&
    cat "$directory/settings" >>"$data/postgresql.conf" &&
    cat "$directory/hosts" "$data/pg_hba.conf" >"$directory/all_hosts" &&
    mv "$directory/all_hosts" "$data/pg_hba.conf" &&
    if [ -e "$directory/standby.signal" ]; then mv "$directory/standby.signal" "$data"; fi &&
    exec "$programs/postgres" -D "$data" -p "$port" -h 127.0.0.1 -k "$directory"
) >"$directory/server.log" 2>&1 &
server=$!
(
    read -r _ <&3
    tries=0
    until [ -e "$directory/exited" ] || [ "$tries" -eq 150 ]; do
        if [ "$tries" -lt 100 ]; then kill -INT "$server"; else kill -QUIT "$server"; fi
        tries=$((tries + 1))
        sleep 0.1
    done
    cd / && rm -rf "$directory"
) &
wait "$server"
echo "$?" >"$directory/exited"
wait
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_its_whole_name() {
        let passwd = "postgresql:x:1:2::/:\nbroken\npostgres:x:101:104:x,,:/var/lib:/bin/bash\n";
        assert_eq!(find_user(passwd, "postgres"), Some((101, 104)));
        assert_eq!(find_user(passwd, "nobody"), None);
    }

    #[test]
    fn the_error_says_what_to_install() {
        let error = ThrowawayError::NotInstalled { looked_in: vec![PathBuf::from("/nowhere")] };
        let text = error.to_string();
        assert!(text.contains("apt-get install postgresql"), "{text}");
        assert!(text.contains("/nowhere"), "{text}");
    }
}
