//! A server that answers each message with the least that a client may expect.

use bytes::Bytes;
use pgabsorb::wire::build::message;

/// Whatever it is asked succeeds, but for an INSERT of the key 0.
#[derive(Default)]
pub(crate) struct Server {
    in_block: bool,
    has_failed: bool,
}

/// What an INSERT of a key that is there is answered.
const DUPLICATE: &[&str] = &[
    "SERROR",
    "VERROR",
    "C23505",
    "Mduplicate key value violates unique constraint \"t_pkey\"",
    "DKey (id)=(0) already exists.",
    "spublic",
    "tt",
    "nt_pkey",
    "Fnbtinsert.c",
    "L664",
    "R_bt_check_unique",
    // The end of the last field, and that of the message.
    "",
    "",
];

/// The error of a duplicate key.
pub(crate) fn duplicate_key() -> Bytes {
    message(b'E', DUPLICATE.join("\0").as_bytes())
}

impl Server {
    pub(crate) fn answer(&mut self, mut bytes: &[u8]) -> Vec<u8> {
        let mut replies = Vec::new();
        while let [tag, a, b, c, d, rest @ ..] = bytes {
            let length = u32::from_be_bytes([*a, *b, *c, *d]) as usize - 4;
            let (body, others) = rest.split_at(length);
            self.message(*tag, body, &mut replies);
            bytes = others;
        }
        replies
    }

    fn message(&mut self, tag: u8, body: &[u8], replies: &mut Vec<u8>) {
        match tag {
            b'P' => replies.extend(message(b'1', b"")),
            b'B' => replies.extend(message(b'2', b"")),
            b'C' => replies.extend(message(b'3', b"")),
            b'D' => replies.extend(message(b'n', b"")),
            b'E' => replies.extend(message(b'C', b"INSERT 0 1\0")),
            b'S' => self.ready(replies),
            b'Q' => {
                let text = String::from_utf8_lossy(body);
                let statements = text.trim_end_matches('\0').split(';').map(str::trim);
                for statement in statements {
                    if !self.succeeds(statement, replies) {
                        break;
                    }
                }
                self.ready(replies);
            }
            _ => {}
        }
    }

    fn succeeds(&mut self, statement: &str, replies: &mut Vec<u8>) -> bool {
        if statement.contains("VALUES (0") {
            self.has_failed = self.in_block;
            replies.extend(duplicate_key());
            return false;
        }
        let verb = statement.split(' ').next().unwrap_or_default();
        match verb {
            "BEGIN" => self.in_block = true,
            "COMMIT" => self.in_block = false,
            "ROLLBACK" => self.has_failed = false,
            _ => {}
        }
        let tag = if verb == "INSERT" { "INSERT 0 1" } else { verb };
        replies.extend(message(b'C', format!("{tag}\0").as_bytes()));
        true
    }

    fn ready(&self, replies: &mut Vec<u8>) {
        let status = match (self.in_block, self.has_failed) {
            (_, true) => b"E",
            (true, _) => b"T",
            _ => b"I",
        };
        replies.extend(message(b'Z', status));
    }
}
