//! The table of drivers in `docs/clients.md`: each row is what a driver's script printed.
//!
//! `PGABSORB_BLESS=1 cargo test drivers` writes the rows that differ.

use std::sync::Mutex;
use std::{env, fs};

use super::common::{NAMES, Report};

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
    static ALONE: Mutex<()> = Mutex::new(());
    let driver = DRIVERS.iter().find(|it| it.name == name).expect("a driver of the list");
    let row = row(driver, report);
    let _alone = ALONE.lock().unwrap();
    let page = fs::read_to_string(PAGE).unwrap();
    let old = rows(&page).find(|line| cells(line).next() == Some(name)).expect("a row in the page");
    let same = |cell: usize| cells(old).nth(cell) == cells(&row).nth(cell);
    if (same(1) || !driver.pinned) && same(2) && same(3) {
        return;
    }
    assert!(env::var_os("PGABSORB_BLESS").is_some(), "the page has\n{old}\nand is to have\n{row}");
    fs::write(PAGE, page.replace(old, &row)).unwrap();
}

fn row(driver: &Driver, report: &Report) -> String {
    let passed = match &report.missing[..] {
        [] => "all".to_owned(),
        missing => {
            let count = NAMES.len() - missing.len();
            let missing: Vec<_> =
                missing.iter().map(|(name, why)| format!("{name}: {why}")).collect();
            format!("{count}; not there: {}", missing.join("; "))
        }
    };
    format!("| {} | {} | {passed} | {} |", driver.name, report.version, driver.know)
}

/// The rows of the table of drivers.
fn rows(page: &str) -> impl Iterator<Item = &str> {
    let table = page.lines().skip_while(|line| !line.starts_with("| driver |"));
    table.skip(2).take_while(|line| line.starts_with('|'))
}

fn cells(row: &str) -> impl Iterator<Item = &str> {
    row.trim_matches('|').split('|').map(str::trim)
}

#[test]
fn the_page_has_a_row_for_each_driver() {
    let page = fs::read_to_string(PAGE).unwrap();
    let names: Vec<_> = rows(&page).filter_map(|row| cells(row).next()).collect();
    assert_eq!(names, DRIVERS.each_ref().map(|it| it.name));
}

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/clients.md");

/// The drivers, in the order of the page.
const DRIVERS: [Driver; 20] = [
    Driver { name: "psql", pinned: false, know: "" },
    Driver { name: "pgbench", pinned: false, know: "" },
    Driver { name: "libpq", pinned: false, know: "" },
    Driver { name: "psqlodbc", pinned: false, know: "" },
    Driver { name: "psycopg 3", pinned: true, know: "" },
    Driver { name: "psycopg2", pinned: true, know: "" },
    Driver { name: "asyncpg", pinned: true, know: "" },
    Driver { name: "pg8000", pinned: true, know: "" },
    Driver { name: "pgjdbc", pinned: false, know: "" },
    Driver { name: "node-postgres", pinned: true, know: "" },
    Driver { name: "postgres.js", pinned: true, know: "" },
    Driver { name: "lib/pq", pinned: false, know: "" },
    Driver { name: "pgx", pinned: false, know: "" },
    Driver { name: "tokio-postgres", pinned: true, know: "" },
    Driver { name: "sqlx", pinned: true, know: "" },
    Driver { name: "diesel", pinned: true, know: "" },
    Driver { name: "PHP, PDO", pinned: false, know: "" },
    Driver { name: "PHP, pg_*", pinned: false, know: "" },
    Driver { name: "DBD::Pg", pinned: false, know: "" },
    Driver { name: "ruby-pg", pinned: false, know: "" },
];
