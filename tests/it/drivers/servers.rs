//! The servers that a driver was run with, as the table of drivers has them: `10, 15 to 18`.

use std::collections::BTreeSet;
use std::fmt;

/// Major versions.
#[derive(Debug, Default, PartialEq)]
pub struct Servers(BTreeSet<u32>);

impl Servers {
    /// What a cell says.
    pub fn read(cell: &str) -> Self {
        let number = |text: &str| text.parse::<u32>().expect("a version");
        let part = |part: &str| match part.split_once(" to ") {
            Some((first, last)) => number(first)..=number(last),
            None => number(part)..=number(part),
        };
        Self(cell.split(", ").filter(|it| !it.is_empty()).flat_map(part).collect())
    }

    pub fn with(mut self, version: u32) -> Self {
        self.0.insert(version);
        self
    }
}

impl fmt::Display for Servers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<_> = self.0.iter().copied().collect();
        let spans = numbers.chunk_by(|one, next| one + 1 == *next).map(|span| match span {
            [first, _, .., last] => format!("{first} to {last}"),
            few => few.iter().map(u32::to_string).collect::<Vec<_>>().join(", "),
        });
        formatter.write_str(&spans.collect::<Vec<_>>().join(", "))
    }
}

#[test]
fn versions_are_written_as_they_are_read() {
    for cell in ["", "15", "10, 18", "14, 15", "10, 15 to 18", "10 to 12, 14, 16 to 18"] {
        assert_eq!(Servers::read(cell).to_string(), cell);
    }
    let servers = Servers::read("10, 12").with(11);
    assert_eq!(servers.to_string(), "10 to 12");
    assert_eq!(servers, Servers::read("10 to 12").with(12));
    assert_eq!(Servers::default().with(9).to_string(), "9");
}
