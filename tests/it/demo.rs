//! The demo, as a person starts it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::support::wait_until;

#[test]
fn every_delivery_succeeds_through_the_proxy_and_nothing_is_left_behind() {
    let place = Place::new();
    let output = place.demo().output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{text}{errors}", output.status);
    assert_eq!(errors, "");
    assert_eq!(counts(&text, "straight at the server "), ["204", "51", "0", "153", "51"], "{text}");
    assert_eq!(counts(&text, "at pgabsorb "), ["204", "51", "153", "0", "51"], "{text}");
    assert!(text.contains("ERROR:  23505: duplicate key"), "{text}");
    assert!(text.contains("logged 153 absorbed conflicts"), "{text}");
    let shown = "absorbed  webhook-replays  webhook_events_pkey  client 127.0.0.1:";
    assert_eq!(text.matches(shown).count(), 3, "{text}");
    assert_eq!(place.leftovers(), [""; 0]);
}

#[test]
fn an_interrupted_demo_cleans_up_before_it_ends() {
    for signal in ["INT", "TERM", "HUP"] {
        let place = Place::new();
        let demo = place.demo().spawn().unwrap();
        wait_until("the server's directory is there", || !place.files().is_empty());
        assert_interrupted(&place, demo, signal);
    }
}

#[test]
fn a_demo_interrupted_amid_the_deliveries_cleans_up_before_it_ends() {
    let place = Place::new();
    let mut demo = place.demo().spawn().unwrap();
    let mut output = BufReader::new(demo.stdout.take().unwrap()).lines();
    assert!(output.any(|line| line.unwrap().contains("  pgabsorb on ")));
    assert_interrupted(&place, demo, "INT");
    drop(output);
}

#[test]
fn a_killed_demo_is_cleaned_up_after() {
    let place = Place::new();
    let mut demo = place.demo().spawn().unwrap();
    let log = |name: String| place.0.path().join(name).join("server.log");
    wait_until("the server is starting", || place.files().into_iter().any(|it| log(it).exists()));
    demo.kill().unwrap();
    demo.wait().unwrap();
    wait_until("nothing is left", || place.leftovers().is_empty());
}

fn assert_interrupted(place: &Place, mut demo: Child, signal: &str) {
    let pid = demo.id().to_string();
    let kill = Command::new("sh").args(["-c", "kill -s $0 $1", signal, &pid]).status();
    assert!(kill.unwrap().success());
    let status = demo.wait().unwrap();
    let mut errors = String::new();
    demo.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(status.code(), Some(130), "{signal}: {status}, {errors}");
    assert_eq!(errors, "pgabsorb demo: interrupted\n");
    assert_eq!(place.leftovers(), [""; 0], "{signal}");
}

/// The columns behind a name in the table of counts.
fn counts<'a>(text: &'a str, name: &str) -> Vec<&'a str> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.unwrap_or_default().split_whitespace().collect()
}

/// The directory for all temporary files of one demo, so that others' are not taken for its own.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        // As /tmp: the server runs as another user when we are root, and removes what is its own.
        fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        Self(directory)
    }

    fn demo(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgabsorb"));
        command
            .arg("demo")
            .env("TMPDIR", self.0.path())
            // What a person's environment says of other servers is not for the demo.
            .envs([("PGHOST", "192.0.2.1"), ("PGPORT", "1"), ("PGUSER", "nobody")])
            .envs([("PGOPTIONS", "--broken"), ("PGABSORB_CONFIG", "/nowhere")])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    fn files(&self) -> Vec<String> {
        let files = fs::read_dir(self.0.path()).unwrap().flatten();
        files.map(|file| file.file_name().to_string_lossy().into_owned()).collect()
    }

    /// The files in the directory, and the processes that were started for it: with its name in
    /// their command line or their environment.
    fn leftovers(&self) -> Vec<String> {
        let mut found = self.files();
        let directory = self.0.path().to_string_lossy();
        for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
            let read = |name| fs::read(process.path().join(name)).unwrap_or_default();
            let command = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
            let environment = String::from_utf8_lossy(&read("environ")).into_owned();
            if command.contains(&*directory) || environment.contains(&*directory) {
                found.push(command);
            }
        }
        found
    }
}
