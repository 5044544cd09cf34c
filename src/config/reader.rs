//! Takes values out of the parsed table one by one, and notes what is wrong instead of stopping.

use std::borrow::Cow;

use toml::{
    Spanned,
    de::{DeInteger, DeTable, DeValue},
};

use super::{
    Mistakes, Problem,
    mistake::Lines,
    shape::{self, Shape},
};

/// What has been found wrong so far.
pub(super) struct Reader<'a> {
    lines: &'a Lines<'a>,
    found: Vec<(usize, Problem)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(lines: &'a Lines<'a>) -> Self {
        Self { lines, found: Vec::new() }
    }

    pub(super) fn finish(self) -> Mistakes {
        Mistakes::new(self.found, self.lines)
    }

    /// Notes a mistake at a byte offset of the text.
    pub(super) fn reject(&mut self, at: usize, problem: Problem) {
        self.found.push((at, problem));
    }

    /// How many mistakes have been found so far.
    pub(super) fn rejected(&self) -> usize {
        self.found.len()
    }

    /// The line of a byte offset.
    pub(super) fn line(&self, at: usize) -> usize {
        self.lines.line(at)
    }

    /// The line and the character in it of a byte offset, both from 1.
    pub(super) fn position(&self, at: usize) -> (usize, usize) {
        self.lines.position(at)
    }

    /// Checks the names of all sections.
    pub(super) fn check_sections(&mut self, root: &DeTable<'_>) {
        for key in root.keys() {
            if let Some(problem) = shape::check_section(key.get_ref()) {
                self.reject(key.span().start, problem);
            }
        }
    }

    /// A section at the top of the file, empty if it is not there.
    pub(super) fn section<'t>(
        &mut self,
        root: &'t DeTable<'t>,
        shape: &'static Shape,
    ) -> Section<'t> {
        let Some((key, value)) = root.get_key_value(shape.name) else {
            return Section { shape, at: 0, entries: None };
        };
        let at = key.span().start;
        self.table(shape, at, value).unwrap_or(Section { shape, at, entries: None })
    }

    /// A table as a section, its keys checked.
    pub(super) fn table<'t>(
        &mut self,
        shape: &'static Shape,
        at: usize,
        value: &'t Spanned<DeValue<'t>>,
    ) -> Option<Section<'t>> {
        let Some(entries) = value.get_ref().as_table() else {
            self.reject_type(shape.label, "a table", at, value.get_ref());
            return None;
        };
        for key in entries.keys() {
            if let Some(problem) = shape.check(key.get_ref()) {
                self.reject(key.span().start, problem);
            }
        }
        Some(Section { shape, at, entries: Some(entries) })
    }

    /// The value of a key, if it is there and good.
    pub(super) fn value<T>(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Option<Placed<T>> {
        self.one(key, kind, section.get(key)?)
    }

    /// The values of a key that is given one or a list of them; `None` if it is absent.
    pub(super) fn values<T>(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        kind: &Kind<T>,
    ) -> Option<Vec<Placed<T>>> {
        let value = section.get(key)?;
        let Some(elements) = value.get_ref().as_array() else {
            return Some(self.one(key, kind, value).into_iter().collect());
        };
        if elements.is_empty() {
            self.reject(value.span().start, Problem::Empty(key));
        }
        Some(elements.iter().filter_map(|it| self.one(key, kind, it)).collect())
    }

    /// Notes that a required key is absent.
    pub(super) fn require(
        &mut self,
        section: &Section<'_>,
        key: &'static str,
        example: &'static str,
    ) {
        if section.get(key).is_none() {
            let label = section.shape.label;
            self.reject(section.at, Problem::Missing { key, section: label, example });
        }
    }

    /// Notes a value of the wrong type.
    pub(super) fn reject_type(
        &mut self,
        key: &'static str,
        expected: &'static str,
        at: usize,
        value: &DeValue<'_>,
    ) {
        let found = type_name(value);
        self.reject(at, Problem::WrongType { key, expected, found });
    }

    fn one<T>(
        &mut self,
        key: &'static str,
        kind: &Kind<T>,
        value: &Spanned<DeValue<'_>>,
    ) -> Option<Placed<T>> {
        let at = value.span().start;
        let text = match (kind.written, value.get_ref()) {
            (Written::Text, DeValue::String(text)) => Cow::Borrowed(text.as_ref()),
            (Written::Integer, DeValue::Integer(it)) => Cow::Owned(decimal(it)),
            (Written::Boolean, DeValue::Boolean(it)) => Cow::Owned(it.to_string()),
            (Written::Date, DeValue::Datetime(it)) => Cow::Owned(it.to_string()),
            (_, other) => {
                self.reject_type(key, kind.expected, at, other);
                return None;
            }
        };
        let parsed =
            if text.is_empty() { Err(Problem::Empty(key)) } else { (kind.parse)(key, &text) };
        parsed.map_err(|problem| self.reject(at, problem)).ok().map(|value| Placed { at, value })
    }
}

/// A section of the file, or the lack of it.
#[derive(Clone, Copy)]
pub(super) struct Section<'t> {
    shape: &'static Shape,
    /// Where it starts.
    pub(super) at: usize,
    entries: Option<&'t DeTable<'t>>,
}

impl<'t> Section<'t> {
    /// Whether it stands in the file, as the table that it has to be.
    pub(super) fn is_written(&self) -> bool {
        self.entries.is_some()
    }

    /// The value of a key as it stands in the file.
    pub(super) fn get(&self, key: &'static str) -> Option<&'t Spanned<DeValue<'t>>> {
        self.entries?.get(key)
    }
}

/// A value, and where it stands.
pub(super) struct Placed<T> {
    pub(super) at: usize,
    pub(super) value: T,
}

/// What a key's value is.
pub(super) struct Kind<T> {
    /// How it is written in TOML.
    pub(super) written: Written,
    /// How a person would describe it.
    pub(super) expected: &'static str,
    /// Takes the key, for the problem, and the text or the integer in decimal; never an empty one.
    pub(super) parse: fn(&'static str, &str) -> Result<T, Problem>,
}

/// The TOML type of a value.
#[derive(Clone, Copy)]
pub(super) enum Written {
    Text,
    Integer,
    Boolean,
    /// Without quotes; a time behind it is left to be refused.
    Date,
}

/// The integer in decimal, or as it is written if it is larger than any limit of ours.
fn decimal(integer: &DeInteger<'_>) -> String {
    match i64::from_str_radix(integer.as_str(), integer.radix()) {
        Ok(value) => value.to_string(),
        Err(_) => integer.to_string(),
    }
}

/// A value's type for a sentence.
fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "an integer",
        DeValue::Float(_) => "a float",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(_) => "a date or time",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}
