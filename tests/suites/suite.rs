//! The suites, and what each needs of the server.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::stage::Stage;

/// What became of each test, by its name in pytest.
pub type Outcomes = BTreeMap<String, String>;

/// One driver's own tests.
#[derive(Clone, Copy, Debug)]
pub struct Suite {
    pub name: &'static str,
    /// The folder of its sources.
    pub folder: &'static str,
    /// What of it is run, and what of that is left out because it needs what the stage does not have.
    pub arguments: &'static [&'static str],
    /// The database that its tests are to be in, if that is another one than `postgres`.
    pub database: Option<&'static str>,
    /// SQL in that database ahead of the tests.
    pub sql: &'static str,
    /// Environment variables, in which `HOST` and `PORT` stand for the address.
    pub variables: &'static [(&'static str, &'static str)],
}

impl Suite {
    /// Runs its tests at this stage, or only those named; what became of each.
    pub fn run(&self, stage: &Stage, only: Option<&[String]>) -> Outcomes {
        let folder = tempfile::tempdir().unwrap();
        let found = folder.path().join("outcomes");
        let printed = folder.path().join("printed");
        let output = std::fs::File::create(&printed).unwrap();
        let mut command = self.command(stage, &found);
        if let Some(names) = only {
            let list = folder.path().join("only");
            std::fs::write(&list, names.join("\n")).unwrap();
            command.env("SUITE_ONLY", list);
        }
        command.stderr(output.try_clone().unwrap()).stdout(output);
        let status = command.status().unwrap();
        let outcomes = read(&std::fs::read_to_string(&found).unwrap_or_default());
        // pytest ends with 1 where tests have failed; that is for the comparison to judge.
        if !matches!(status.code(), Some(0 | 1)) || outcomes.is_empty() {
            let text = String::from_utf8_lossy(&std::fs::read(&printed).unwrap()).into_owned();
            panic!("{} {}: pytest ended with {status}\n{text}", self.name, stage.way);
        }
        if let Some(keep) = std::env::var_os("PGABSORB_SUITE_OUTPUT") {
            let name = format!("{}-{}", self.name, stage.way);
            std::fs::copy(&printed, Path::new(&keep).join(name)).unwrap();
        }
        outcomes
    }

    fn command(&self, stage: &Stage, outcomes: &Path) -> Command {
        let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/suites");
        let address = stage.address();
        let (host, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = Command::new("timeout");
        command
            .args(["--kill-after=5", LONGEST])
            .arg(target.join("venv/bin/python"))
            .args(["-m", "pytest", "-p", "no:cacheprovider", "-p", "outcomes", "-q"])
            .arg(format!("--timeout={LONGEST_TEST}"))
            .args(self.arguments.iter().map(|it| it.replace("HOST", &host).replace("PORT", &port)))
            .current_dir(self.sources(&target))
            .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("SUITE_OUTCOMES", outcomes)
            .env("PGHOST", &host)
            .env("PGPORT", &port)
            .env("PGUSER", "postgres")
            .env("PGDATABASE", self.database.unwrap_or("postgres"))
            .env_remove("SUITE_ONLY");
        for (name, value) in self.variables {
            command.env(name, value.replace("HOST", &host).replace("PORT", &port));
        }
        command
    }

    /// Each run has the tests to itself: some write beside themselves.
    fn sources(&self, target: &Path) -> PathBuf {
        let path = target.join("sources").join(self.folder);
        assert!(path.exists(), "{} is missing: tests/suites/run installs it", path.display());
        path
    }
}

fn read(text: &str) -> Outcomes {
    let lines = text.lines().filter_map(|line| line.split_once(' '));
    lines.map(|(outcome, name)| (name.to_owned(), outcome.to_owned())).collect()
}

/// Seconds until a suite, and until one of its tests, is taken to hang.
const LONGEST: &str = "900";
const LONGEST_TEST: u32 = 300;

/// All of them.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "asyncpg",
        folder: "asyncpg-0.32.0",
        // Standbys of their own, which cannot be had as root.
        arguments: &["tests", "-k", "not (standby or target_attribute or target_server_attribute)"],
        database: None,
        sql: "",
        variables: &[],
    },
    Suite {
        name: "psycopg2",
        folder: "psycopg2-2.9.13",
        arguments: &["tests"],
        database: Some("psycopg2_test"),
        sql: "CREATE EXTENSION hstore",
        variables: &[
            ("PSYCOPG2_TESTDB", "psycopg2_test"),
            ("PSYCOPG2_TESTDB_HOST", "HOST"),
            ("PSYCOPG2_TESTDB_PORT", "PORT"),
            ("PSYCOPG2_TESTDB_USER", "postgres"),
            ("PSYCOPG2_TEST_REPL_DSN", ""),
        ],
    },
    Suite {
        name: "pg8000",
        folder: "pg8000-1.31.6",
        // What takes a server with TLS or GSS, and what measures.
        arguments: &[
            "test",
            "--ignore-glob=*benchmarks.py",
            "--ignore-glob=*_ssl.py",
            "--ignore-glob=*_gss.py",
        ],
        database: None,
        sql: "CREATE EXTENSION hstore; \
              ALTER ROLE postgres PASSWORD 'pw'",
        variables: &[],
    },
];
