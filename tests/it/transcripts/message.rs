//! Messages as a transcript writes them: a name as the manual spells it, then its fields.

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
        let table = match sender {
            Sender::Frontend => FRONTEND,
            Sender::Backend => BACKEND,
        };
        let found = table.iter().find(|(known, ..)| *known == name);
        let &(_, tag, layout) = found.ok_or_else(|| format!("unknown message {name}"))?;
        Ok(Self { name, fields: words.collect(), tag, layout })
    }

    /// The message as it is on the wire.
    pub fn bytes(&self) -> Vec<u8> {
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

fn values<'a>(fields: impl Iterator<Item = &'a String>) -> Vec<u8> {
    let fields: Vec<_> = fields.collect();
    let mut body = u16::try_from(fields.len()).unwrap().to_be_bytes().to_vec();
    for field in fields {
        body.extend(u32::try_from(field.len()).unwrap().to_be_bytes());
        body.extend(field.as_bytes());
    }
    body
}

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

const FRONTEND: Names = &[
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
