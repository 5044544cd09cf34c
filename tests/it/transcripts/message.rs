//! Messages as a transcript writes them: a name as the manual spells it, then its fields.

use std::fmt;

use pgabsorb::wire::build;

use crate::support::wire::Message;

/// Which table of message names a line is read with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    Frontend,
    Backend,
}

/// One message of a transcript.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Written {
    pub name: String,
    pub fields: Vec<String>,
    pub tag: u8,
    layout: &'static str,
}

impl Written {
    /// Reads `Parse "name" "text"`.
    pub fn read(sender: Sender, line: &str) -> Result<Self, String> {
        let mut words = words(line)?.into_iter();
        let name = words.next().ok_or("no message")?;
        let found = table(sender).iter().find(|(known, ..)| *known == name);
        let &(_, tag, layout) = found.ok_or_else(|| format!("unknown message {name}"))?;
        Ok(Self { name, fields: words.collect(), tag, layout })
    }

    /// A message that has come, with what a transcript says of it.
    pub fn of(sender: Sender, message: &Message) -> Self {
        let table = table(sender);
        let known = table.iter().find(|(_, tag, layout)| *tag == message.tag && *layout != "x");
        let &(name, tag, layout) = known.unwrap_or_else(|| panic!("unknown: {message}"));
        let mut body = &message.body[..];
        let mut fields: Vec<_> = layout.chars().flat_map(|kind| fields(kind, &mut body)).collect();
        // Where another error came through is no matter here.
        let matters = fields.iter().any(|field| field == "C=23505");
        fields.retain(|field| matters || layout != "e" || !field.starts_with("W="));
        Self { name: name.to_owned(), fields, tag, layout }
    }

    /// A command of the proxy's own, if these messages begin with one.
    pub fn command_at(bytes: &[u8]) -> Option<Self> {
        COMMANDS.iter().find_map(|text| {
            let line = format!("Command \"{text}\"");
            let command = Self::read(Sender::Frontend, &line).unwrap();
            bytes.starts_with(&command.bytes()).then_some(command)
        })
    }

    /// The message as it is on the wire.
    pub fn bytes(&self) -> Vec<u8> {
        if self.layout == "x" {
            return build::command("pgabsorb_guard", &self.fields[0], &[]).to_vec();
        }
        let mut body = Vec::new();
        let mut fields = self.fields.iter();
        for kind in self.layout.chars() {
            match kind {
                's' => body.extend([fields.next().unwrap().as_bytes(), b"\0"].concat()),
                'b' => body.extend(fields.next().unwrap().as_bytes()),
                'i' => body.extend(fields.next().unwrap().parse::<i32>().unwrap().to_be_bytes()),
                '0' => body.extend(0_i16.to_be_bytes()),
                'r' => body.extend(fields.next().map(String::as_bytes).unwrap_or_default()),
                'v' => body.extend(values(fields.by_ref())),
                'n' => body.extend(columns(fields.by_ref())),
                'e' => body.extend(error_fields(fields.by_ref())),
                other => panic!("layout {other}"),
            }
        }
        assert!(fields.next().is_none(), "too many fields: {self:?}");
        let length = u32::try_from(body.len() + 4).unwrap();
        [&[self.tag][..], &length.to_be_bytes(), &body].concat()
    }

    /// Whether a real message is this one: the same tag; the same body too, but for an error or
    /// a notice, where the fields that are written must be there, and a RowDescription.
    pub fn is_like(&self, tag: u8, body: &[u8]) -> bool {
        let own = self.bytes();
        match self.tag {
            _ if tag != self.tag => false,
            b'T' => true,
            b'E' | b'N' => {
                let has = |field: &[u8]| body.split(|byte| *byte == 0).any(|it| it == field);
                own[5..].split(|byte| *byte == 0).filter(|it| !it.is_empty()).all(has)
            }
            _ => own[5..] == *body,
        }
    }
}

/// What a transcript says of one part of a body, which is taken off its front.
fn fields(kind: char, body: &mut &[u8]) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let string = |body: &mut &[u8]| {
        let end = body.iter().position(|byte| *byte == 0).unwrap();
        let string = text(&body[..end]);
        *body = &body[end + 1..];
        string
    };
    let number = |body: &mut &[u8], size: usize| {
        let (number, rest) = body.split_at(size);
        *body = rest;
        number.iter().fold(0_i32, |sum, byte| sum << 8 | i32::from(*byte))
    };
    match kind {
        's' => vec![string(body)],
        'b' | 'r' if body.is_empty() => vec![],
        'b' => {
            let (first, rest) = body.split_at(1);
            *body = rest;
            vec![text(first)]
        }
        'i' => vec![number(body, 4).to_string()],
        '0' => {
            assert_eq!(number(body, 2), 0, "more than a transcript can say");
            vec![]
        }
        'r' => vec![text(std::mem::take(body))],
        'v' => (0..number(body, 2))
            .map(|_| {
                let Ok(length) = usize::try_from(number(body, 4)) else { return NULL.to_owned() };
                let (value, rest) = body.split_at(length);
                *body = rest;
                text(value)
            })
            .collect(),
        'n' => (0..number(body, 2))
            .map(|_| {
                let name = string(body);
                *body = &body[18..];
                name
            })
            .collect(),
        'e' => std::iter::from_fn(|| (body[0] != 0).then(|| string(body)))
            .filter(|field| SAID_OF_ERRORS.contains(&&field[..1]))
            .map(|field| format!("{}={}", &field[..1], &field[1..]))
            .collect(),
        other => panic!("layout {other}"),
    }
}

/// The fields of an error that a transcript tells, where a server has said them.
const SAID_OF_ERRORS: [&str; 8] = ["S", "V", "C", "P", "W", "s", "t", "n"];

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_frontends = FRONTEND.iter().any(|(name, ..)| *name == self.name);
        write!(f, "{}", self.name)?;
        for field in &self.fields {
            match field.split_once('=').filter(|_| self.layout == "e") {
                _ if is_plain(field, is_frontends) => write!(f, " {field}")?,
                Some((code, value)) => write!(f, " {code}=\"{}\"", quoted_text(value))?,
                None => write!(f, " \"{}\"", quoted_text(field))?,
            }
        }
        Ok(())
    }
}

/// Whether a field needs no quotes; names and texts of a client have some anyway.
fn is_plain(field: &str, is_frontends: bool) -> bool {
    let number = field.bytes().all(|it| it.is_ascii_digit());
    let word = field.bytes().all(|it| it.is_ascii_alphanumeric() || b"_-=".contains(&it));
    !field.is_empty() && (number || matches!(field, "S" | "P") || word && !is_frontends)
}

fn quoted_text(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
    escaped.replace('\n', "\\n").replace('\0', "\\0").replace('\x01', "\\1")
}

fn table(sender: Sender) -> Names {
    match sender {
        Sender::Frontend => FRONTEND,
        Sender::Backend => BACKEND,
    }
}

fn values<'a>(fields: impl Iterator<Item = &'a String>) -> Vec<u8> {
    let fields: Vec<_> = fields.collect();
    let mut body = u16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        if field == NULL {
            body.extend((-1_i32).to_be_bytes());
        } else {
            body.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
            body.extend(field.as_bytes());
        }
    }
    body
}

/// How a transcript writes what is no value.
const NULL: &str = "NULL";

/// Columns of type `text`, in text format.
fn columns<'a>(fields: impl Iterator<Item = &'a String>) -> Vec<u8> {
    let fields: Vec<_> = fields.collect();
    let mut body = u16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        body.extend([field.as_bytes(), b"\0"].concat());
        body.extend([0, 0, 0, 0, 0, 0, 0, 0, 0, 25, 255, 255, 255, 255, 255, 255, 0, 0]);
    }
    body
}

/// `C=23505` becomes the field `C`.
fn error_fields<'a>(fields: impl Iterator<Item = &'a String>) -> Vec<u8> {
    let mut body = Vec::new();
    for field in fields {
        let (code, text) = field.split_once('=').expect("a field is CODE=text");
        body.extend([code.as_bytes(), text.as_bytes(), b"\0"].concat());
    }
    body.push(0);
    body
}

/// Words between spaces; a quoted one may hold spaces, `\"`, `\\`, `\n`, `\0` and `\1`.
fn words(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim_start();
    while let Some(first) = rest.chars().next() {
        let (word, after) = if first == '"' { quoted(&rest[1..])? } else { plain(rest) };
        words.push(word);
        rest = after.trim_start();
    }
    Ok(words)
}

fn plain(text: &str) -> (String, &str) {
    let end = text.find(' ').unwrap_or(text.len());
    match text[..end].split_once("=\"") {
        None => (text[..end].to_owned(), &text[end..]),
        Some((code, _)) => {
            let (value, rest) = quoted(&text[code.len() + 2..]).unwrap();
            (format!("{code}={value}"), rest)
        }
    }
}

fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut word = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Ok((word, &text[at + 1..])),
            '\\' => word.push(match chars.next().map(|(_, char)| char) {
                Some('n') => '\n',
                Some('0') => '\0',
                Some('1') => '\x01',
                Some(other) => other,
                None => break,
            }),
            other => word.push(other),
        }
    }
    Err(format!("unterminated: {text}"))
}

type Names = &'static [(&'static str, u8, &'static str)];

/// The commands of the proxy's own, each of which is six messages.
const COMMANDS: [&str; 4] = [
    "SAVEPOINT pgabsorb_guard",
    "RELEASE SAVEPOINT pgabsorb_guard",
    "ROLLBACK TO SAVEPOINT pgabsorb_guard",
    "ROLLBACK TO SAVEPOINT pgabsorb_none",
];

const FRONTEND: Names = &[
    ("Command", b'P', "x"),
    ("Query", b'Q', "s"),
    ("Parse", b'P', "ss0"),
    ("Bind", b'B', "ss0v0"),
    ("Describe", b'D', "bs"),
    ("Execute", b'E', "si"),
    ("Close", b'C', "bs"),
    ("Sync", b'S', ""),
    ("Flush", b'H', "r"),
    ("Terminate", b'X', ""),
    ("FunctionCall", b'F', "r"),
    ("CopyData", b'd', "r"),
    ("CopyDone", b'c', ""),
    ("CopyFail", b'f', "s"),
];

const BACKEND: Names = &[
    ("ParseComplete", b'1', ""),
    ("BindComplete", b'2', ""),
    ("CloseComplete", b'3', ""),
    ("NotificationResponse", b'A', "iss"),
    ("CommandComplete", b'C', "s"),
    ("DataRow", b'D', "v"),
    ("ErrorResponse", b'E', "e"),
    ("EmptyQueryResponse", b'I', ""),
    ("CopyInResponse", b'G', "r"),
    ("CopyOutResponse", b'H', "r"),
    ("CopyData", b'd', "r"),
    ("CopyDone", b'c', ""),
    ("NoData", b'n', ""),
    ("NoticeResponse", b'N', "e"),
    ("ParameterDescription", b't', "0"),
    ("ParameterStatus", b'S', "ss"),
    ("PortalSuspended", b's', ""),
    ("ReadyForQuery", b'Z', "b"),
    ("RowDescription", b'T', "n"),
    ("FunctionCallResponse", b'V', "r"),
];
