//! The table of drivers in `docs/clients.md`: each row is what a driver's script printed.

use super::common::{NAMES, Report};
use super::servers::Servers;
use super::table::{Table, is_written};
use crate::support::version::version;

/// A driver of the table, in its order.
pub struct Driver {
    pub name: &'static str,
    /// Whether its version is the project's own choice; another is whatever the system has, and the
    /// page names the one of the last time that it was written.
    pub pinned: bool,
    /// What its user has to know.
    pub know: &'static str,
}

/// Holds a driver's row against what its script has printed.
pub fn holds(name: &str, report: &Report) {
    let driver = DRIVERS.iter().find(|it| it.name == name).expect("a driver of the list");
    let anew = |old: &[&str]| row(driver, report, &servers(old, &report.version));
    TABLE.holds_anew(name, anew, driver.pinned);
}

/// Those of the row that is there, and where it is written the one of this run too. Those that another
/// version of the driver was run with are forgotten.
fn servers(old: &[&str], driver: &str) -> String {
    match old {
        [_, _, servers, ..] if !is_written() => (*servers).to_owned(),
        [_, of, servers, ..] if *of == driver => Servers::read(servers).with(version()).to_string(),
        _ => Servers::default().with(version()).to_string(),
    }
}

fn row(driver: &Driver, report: &Report, servers: &str) -> String {
    let passed = match &report.missing[..] {
        [] => "all".to_owned(),
        missing => {
            let count = NAMES.len() - missing.len();
            let missing: Vec<_> =
                missing.iter().map(|(name, why)| format!("{name} ({why})")).collect();
            format!("{count} of {}, without {}", NAMES.len(), missing.join(", "))
        }
    };
    let (name, version, know) = (driver.name, &report.version, driver.know);
    format!("| {name} | {version} | {servers} | {passed} | {know} |")
}

#[test]
fn the_page_has_a_row_for_each_driver() {
    assert_eq!(TABLE.names(), DRIVERS.each_ref().map(|it| it.name));
}

const TABLE: Table = Table { page: "clients.md", head: "| driver |" };

/// The drivers, in the order of the page.
const DRIVERS: [Driver; 21] = [
    Driver {
        name: "psql",
        pinned: false,
        know: "it ends with status 0 behind a duplicate; `ON_ERROR_ROLLBACK` and `\\;` work",
    },
    Driver {
        name: "pgbench",
        pinned: false,
        know: "a client of its gives up at its first error, so a load over duplicates reaches its end only behind the proxy",
    },
    Driver {
        name: "libpq",
        pinned: false,
        know: "a pipeline with one Sync is one transaction, see below; with a Sync behind each statement it is many",
    },
    Driver {
        name: "libpqxx",
        pinned: false,
        know: "`affected_rows` is 0; a `pipeline` outside `work` is one transaction, see below",
    },
    Driver {
        name: "psqlodbc",
        pinned: false,
        know: "all three rollback levels (`Protocol=7.4-0` to `-2`) end with the same rows; an array of parameters with `UseServerSidePrepare=0` is one transaction, see below",
    },
    Driver {
        name: "psycopg 3",
        pinned: true,
        know: "`executemany` and pipelines outside `transaction()` are one transaction, see below; client, server and raw cursors alike",
    },
    Driver {
        name: "psycopg2",
        pinned: true,
        know: "`execute_batch` in autocommit sends many statements as one transaction, see below; `execute_values` and `executemany` need nothing",
    },
    Driver {
        name: "asyncpg",
        pinned: true,
        know: "`executemany` outside `transaction()` is one transaction, see below; `execute` returns `INSERT 0 0`",
    },
    Driver {
        name: "pg8000",
        pinned: true,
        know: "`executemany` counts the rows that were stored; with TLS on both legs it logs in by SCRAM \
               only where the proxy verifies (`[auth]`), as it cannot be told not to bind the channel",
    },
    Driver {
        name: "pgjdbc",
        pinned: false,
        know: "a batch in autocommit is one transaction for each flight, see below, but not with `preferQueryMode=simple`; `executeBatch` has 0 for a duplicate; `reWriteBatchedInserts`, `autosave`, `prepareThreshold` and every `preferQueryMode` are fine",
    },
    Driver {
        name: "node-postgres",
        pinned: true,
        know: "`rowCount` is 0; its pipeline mode has a Sync behind each statement, so that it needs nothing",
    },
    Driver {
        name: "postgres.js",
        pinned: true,
        know: "`count` is 0; many statements at once need nothing; its own cursor keeps the session to itself, and the end of a large COPY out leaves its connection waiting, without the proxy too",
    },
    Driver {
        name: "lib/pq",
        pinned: false,
        know: "`RowsAffected` is 0; it gives up the session of a statement that was cancelled",
    },
    Driver {
        name: "pgx",
        pinned: false,
        know: "`SendBatch` outside `Begin` is one transaction, see below; with or without its statement cache, and in simple protocol",
    },
    Driver {
        name: "tokio-postgres",
        pinned: true,
        know: "`execute` returns 0; many statements at once have a Sync each, so that they need nothing",
    },
    Driver {
        name: "sqlx",
        pinned: true,
        know: "`rows_affected` is 0; several statements in a `raw_sql` are one transaction, see below",
    },
    Driver {
        name: "diesel",
        pinned: true,
        know: "`execute` returns 0; `get_result` of a duplicate is `NotFound` unless the rule has `returning = \"existing\"`; several statements in a `batch_execute` are one transaction, see below",
    },
    Driver {
        name: "PHP, PDO",
        pinned: false,
        know: "`rowCount` is 0; with `ATTR_EMULATE_PREPARES` and `PGSQL_ATTR_DISABLE_PREPARES` too",
    },
    Driver {
        name: "PHP, pg_*",
        pinned: false,
        know: "`pg_affected_rows` is 0, and no warning comes; several statements in a `pg_query` are one transaction, see below",
    },
    Driver {
        name: "DBD::Pg",
        pinned: false,
        know: "`do` and `execute` return `0E0`, which is true: `or die` lives on; `execute_array` sends one statement behind the other",
    },
    Driver {
        name: "ruby-pg",
        pinned: false,
        know: "`cmd_tuples` is 0; a pipeline with one Sync is one transaction, see below",
    },
];
