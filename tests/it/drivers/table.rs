//! Tables of the pages under `docs` whose rows are what a run printed.
//!
//! `PGABSORB_BLESS=1 cargo test drivers` writes the rows that differ.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use super::repository;

/// A table of a page.
pub struct Table {
    /// The page, under `docs`.
    pub page: &'static str,
    /// What its head begins with.
    pub head: &'static str,
}

impl Table {
    /// Holds the row of this name, its first cell, against what is to be there. The second cell is a
    /// version: one that is not `pinned` is whatever the system has, and the page names the one of the
    /// last time that it was written.
    pub fn holds(&self, row: &str, pinned: bool) {
        self.holds_anew(cells(row).next().expect("a name"), |_| row.to_owned(), pinned);
    }

    /// The same of a row that is made of what is there, by its cells.
    pub fn holds_anew(&self, name: &str, row: impl FnOnce(&[&str]) -> String, pinned: bool) {
        static ALONE: Mutex<()> = Mutex::new(());
        // A row that does not hold is no reason for the others.
        let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let page = self.text();
        let old = self.rows(&page).find(|line| cells(line).next() == Some(name));
        let old = old.unwrap_or_else(|| panic!("{}: no row for {name}", self.page));
        let row = row(&cells(old).collect::<Vec<_>>());
        let told = |row| cells(row).enumerate().filter(|(cell, _)| pinned || *cell != 1);
        if told(old).eq(told(&row)) {
            return;
        }
        assert!(is_written(), "{} has\n{old}\nand is to have\n{row}", self.page);
        fs::write(self.path(), page.replace(old, &row)).unwrap();
    }

    /// The first cells of its rows.
    pub fn names(&self) -> Vec<String> {
        let page = self.text();
        self.rows(&page).filter_map(|row| cells(row).next()).map(str::to_owned).collect()
    }

    fn rows<'a>(&self, page: &'a str) -> impl Iterator<Item = &'a str> {
        let table = page.lines().skip_while(|line| !line.starts_with(self.head));
        table.skip(2).take_while(|line| line.starts_with('|'))
    }

    fn text(&self) -> String {
        fs::read_to_string(self.path()).unwrap()
    }

    fn path(&self) -> PathBuf {
        repository().join("docs").join(self.page)
    }
}

/// Whether rows that differ are to be written.
pub fn is_written() -> bool {
    env::var_os("PGABSORB_BLESS").is_some()
}

fn cells(row: &str) -> impl Iterator<Item = &str> {
    row.trim_matches('|').split('|').map(str::trim)
}
