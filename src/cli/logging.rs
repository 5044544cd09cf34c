//! Where log lines go and what they look like.
//!
//! Lines are written by a thread of their own, so that a reader of the log who stops reading
//! holds up no session; lines that find its queue full are dropped, and counted. Once the queue is
//! empty again, a line says how many that were.

use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, Write};

use anyhow::Context as _;
use serde::ser::{Serialize, SerializeMap, Serializer as _};
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::config::{Log, LogFormat, LogLevel};
use crate::proxy::LostLines;

use tail::Tail;

mod tail;

/// Lines that may wait to be written: some megabytes.
const QUEUE: usize = 8192;

/// A log that is written until this is dropped; what is queued then is written still.
#[derive(Debug)]
pub(super) struct Logging {
    /// How many lines were lost.
    pub(super) lost_lines: LostLines,
    _flushed_at_end: WorkerGuard,
}

/// Starts logging.
pub(super) fn start(log: &Log) -> anyhow::Result<Logging> {
    let lost_lines = LostLines::default();
    let (writer, guard) = writer(log, &lost_lines)?;
    let dropped = writer.error_counter();
    lost_lines.is_told_by(move || dropped.dropped_lines() as u64);
    let builder = tracing_subscriber::fmt()
        .with_max_level(level(log.level))
        .with_writer(writer)
        .with_ansi(false)
        .with_target(false);
    match log.format {
        LogFormat::Json => builder.event_format(JsonLine).init(),
        LogFormat::Text => builder.init(),
    }
    Ok(Logging { lost_lines, _flushed_at_end: guard })
}

fn writer(log: &Log, lost: &LostLines) -> anyhow::Result<(NonBlocking, WorkerGuard)> {
    let Some(path) = &log.file else { return Ok(queue(io::stdout(), log.format, lost)) };
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("cannot open the log file {}", path.display()))?;
    Ok(queue(file, log.format, lost))
}

fn queue(
    output: impl Write + Send + 'static,
    format: LogFormat,
    lost: &LostLines,
) -> (NonBlocking, WorkerGuard) {
    let builder = NonBlockingBuilder::default().buffered_lines_limit(QUEUE).lossy(true);
    builder.finish(Tail::new(output, format, lost.clone()))
}

fn level(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

/// One JSON object a line: `time`, `level`, `event`, then the event's own fields in their order.
struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let mut line = Vec::with_capacity(LINE);
        let written = object(&mut line, &time, &level, event);
        let line = written.ok().and_then(|()| str::from_utf8(&line).ok()).ok_or(fmt::Error)?;
        writeln!(writer, "{line}")
    }
}

/// Bytes that a line seldom has more of.
const LINE: usize = 1024;

fn object(
    line: &mut Vec<u8>,
    time: &str,
    level: &str,
    event: &Event<'_>,
) -> serde_json::Result<()> {
    let mut serializer = serde_json::Serializer::new(line);
    let mut object = serializer.serialize_map(None)?;
    object.serialize_entry("time", time)?;
    object.serialize_entry("level", level)?;
    let mut fields = Fields { object, part: Part::Message, failed: None };
    event.record(&mut fields);
    fields.part = Part::Others;
    event.record(&mut fields);
    fields.failed.map_or(Ok(()), Err)?;
    fields.object.end()
}

/// Which of an event's fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Its message, as `event`.
    Message,
    Others,
}

/// An event's fields, on their way into an object.
struct Fields<M: SerializeMap> {
    object: M,
    part: Part,
    /// The first mistake, after which nothing is written.
    failed: Option<M::Error>,
}

impl<M: SerializeMap> Fields<M> {
    fn put(&mut self, field: &Field, value: &(impl Serialize + ?Sized)) {
        let (part, name) = match field.name() {
            "message" => (Part::Message, "event"),
            name => (Part::Others, name),
        };
        if part == self.part && self.failed.is_none() {
            self.failed = self.object.serialize_entry(name, value).err();
        }
    }
}

impl<M: SerializeMap> Visit for Fields<M> {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, &format_args!("{value:?}"));
    }
}
