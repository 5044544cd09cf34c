//! The end of the queue of log lines: they are written, and once it is empty a line says how many
//! found no place in it, or could not be written.

use std::io::{self, Write};

use serde_json::Value;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

use crate::config::LogFormat;
use crate::proxy::LostLines;

/// Where lines are written, each by one call; a flush means that none waits.
pub(super) struct Tail<W> {
    output: W,
    format: LogFormat,
    lost: LostLines,
    /// How many of them a line has told of.
    told: u64,
}

impl<W: Write> Tail<W> {
    pub(super) fn new(output: W, format: LogFormat, lost: LostLines) -> Self {
        Self { output, format, lost, told: 0 }
    }

    fn tell(&mut self) -> io::Result<()> {
        let lost = self.lost.count();
        if lost > self.told {
            self.output.write_all(line(self.format, lost - self.told).as_bytes())?;
            self.told = lost;
        }
        Ok(())
    }
}

impl<W: Write> Write for Tail<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A line that is cut short is lost like one that is not there at all.
        let written = self.output.write_all(line);
        if written.is_err() {
            self.lost.add();
        }
        written.map(|()| line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tell()?;
        self.output.flush()
    }
}

/// What is said of so many lines.
fn line(format: LogFormat, lines: u64) -> String {
    let mut time = String::new();
    if SystemTime.format_time(&mut Writer::new(&mut time)).is_err() {
        time.clear();
    }
    match format {
        LogFormat::Json => {
            let time = Value::from(time);
            format!(
                "{{\"time\":{time},\"level\":\"warn\",\"event\":\"{EVENT}\",\"lines\":{lines}}}\n"
            )
        }
        LogFormat::Text => format!("{time}  WARN {EVENT} lines={lines}\n"),
    }
}

const EVENT: &str = "log lines were dropped: nobody had read the log";

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many lines, and no more.
    struct Disk(Vec<u8>, usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 = self.1.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
            self.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_that_are_lost_are_told_of_once_and_where_there_is_room() {
        let lost = LostLines::default();
        let mut tail = Tail::new(Disk(Vec::new(), 1), LogFormat::Json, lost.clone());
        tail.write_all(b"first\n").unwrap();
        for _ in 0..2 {
            assert!(tail.write_all(b"lost\n").is_err());
        }
        assert!(tail.flush().is_err());
        assert_eq!(lost.count(), 2);
        tail.output.1 = 10;
        tail.flush().unwrap();
        tail.flush().unwrap();
        let text = String::from_utf8(tail.output.0).unwrap();
        let [first, told] = &text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
        assert_eq!(*first, "first");
        let told: Value = serde_json::from_str(told).unwrap();
        assert_eq!((&told["event"], &told["lines"]), (&EVENT.into(), &2.into()));
    }
}
