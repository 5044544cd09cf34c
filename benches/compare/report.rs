//! The tables, and what is said above them.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::{fs, thread};

use crate::needs::Programs;

/// A table in markdown: columns of labels, and of figures, which are aligned to the right.
pub(crate) struct Table(String);

impl Table {
    pub(crate) fn new(labels: &[&str], figures: &[impl AsRef<str>]) -> Self {
        let figure = |it: &_| AsRef::<str>::as_ref(it).to_owned();
        let heads: Vec<_> =
            labels.iter().map(|it| (*it).to_owned()).chain(figures.iter().map(figure)).collect();
        let mut table = Self(String::new());
        table.row(&heads);
        let (left, right) = ("---|".repeat(labels.len()), "--:|".repeat(figures.len()));
        let _infallible = writeln!(table.0, "|{left}{right}");
        table
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        let _infallible = writeln!(self.0, "| {} |", cells.join(" | "));
    }

    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// The machine's kind, how busy it is, the commit, and the versions of what is compared.
pub(crate) fn machine(programs: &Programs) -> String {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.split('-').next().unwrap_or_default().trim();
    format!(
        "{cores} cores, Linux {kernel}; commit {}; {}; {}; {}; load average {} at the start",
        first_line(Path::new("git"), &["rev-parse", "--short", "HEAD"]),
        first_line(&programs.pgbench, &["--version"]),
        first_line(&programs.pgbouncer, &["--version"]),
        first_line(&programs.haproxy, &["-v"]),
        load_average(),
    )
}

/// Of the last minute.
pub(crate) fn load_average() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}

fn first_line(program: &Path, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text =
        output.map(|it| String::from_utf8_lossy(&it.stdout).into_owned()).unwrap_or_default();
    let line = text.lines().next().unwrap_or("unknown");
    line.split(" - ").next().unwrap_or_default().to_owned()
}
