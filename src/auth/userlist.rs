//! The users file, in the format of PgBouncer's
//! [userlist.txt](https://www.pgbouncer.org/config.html#authentication-file-format).

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use super::secret::Secret;

/// The users that may log in, and what is known of their passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Users(HashMap<Vec<u8>, Entry>);

/// What is known of a user's password.
#[derive(Clone, PartialEq, Eq)]
pub enum Entry {
    /// What the server stores of it.
    Secret(Secret),
    /// The password itself.
    Password(Vec<u8>),
}

/// What is wrong with a users file.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {problem}")]
pub struct UserlistError {
    line: usize,
    problem: &'static str,
}

impl Users {
    /// Reads a file: on each line a user's name and a SCRAM secret or a password, both in double
    /// quotes, which are doubled inside; what stands behind them means nothing, and lines that
    /// begin with `;` say nothing.
    pub fn parse(text: &str) -> Result<Self, UserlistError> {
        let mut users = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(';') {
                continue;
            }
            let wrong = |problem| UserlistError { line: index + 1, problem };
            let (user, entry) = entry(line).map_err(wrong)?;
            if users.insert(user, entry).is_some() {
                return Err(wrong("this user is there already"));
            }
        }
        Ok(Self(users))
    }

    /// What is known of a user's password.
    #[must_use]
    pub fn get(&self, user: &[u8]) -> Option<&Entry> {
        self.0.get(user)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn entry(line: &str) -> Result<(Vec<u8>, Entry), &'static str> {
    const FORM: &str = "write it as \"user\" \"SCRAM secret or password\", both in double quotes";
    let (user, rest) = quoted(line).ok_or(FORM)?;
    let (secret, _) = quoted(rest.trim_start()).ok_or(FORM)?;
    let entry = match Secret::parse(&secret) {
        Some(secret) => Entry::Secret(secret),
        None if secret.starts_with("SCRAM-SHA-256$") => {
            return Err("the SCRAM secret is malformed");
        }
        None if is_md5(&secret) => {
            return Err("an md5 secret cannot verify SCRAM; set the password anew with \
                        password_encryption = 'scram-sha-256', and write what pg_authid has then");
        }
        None if user.is_empty() || secret.is_empty() => return Err(FORM),
        None => Entry::Password(secret.into_bytes()),
    };
    Ok((user.into_bytes(), entry))
}

/// A text in double quotes, and what stands behind it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut rest = text.strip_prefix('"')?;
    let mut value = String::new();
    loop {
        let (part, behind) = rest.split_once('"')?;
        value += part;
        match behind.strip_prefix('"') {
            None => return Some((value, behind)),
            Some(more) => {
                value.push('"');
                rest = more;
            }
        }
    }
}

fn is_md5(secret: &str) -> bool {
    let digits = secret.strip_prefix("md5").unwrap_or_default();
    digits.len() == 32 && digits.bytes().all(|it| it.is_ascii_hexdigit())
}

impl fmt::Debug for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Users({})", self.len())
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Secret(_) => "Secret",
            Self::Password(_) => "Password",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "SCRAM-SHA-256$4096:gQGmT3ApIIcQCi91mWMwTw==$Xw/XTqKKW5jQTrVRlAE341TJ+VroBnemkhC6RdCK8O4=:JQYYyKV+ThPvut70dms2QE6PdXI4VxnsIgKZ/0hPqkg=";

    #[test]
    fn users_have_secrets_or_passwords() {
        let text =
            format!("; a comment\n\n\"app\" \"{SECRET}\"\r\n  \"o\"\"ne\"\t\"p w;\" \"more\"\n");
        let users = Users::parse(&text).unwrap();
        assert_eq!(users.len(), 2);
        assert!(matches!(users.get(b"app"), Some(Entry::Secret(_))));
        assert!(users.get(b"o\"ne") == Some(&Entry::Password(b"p w;".to_vec())));
        assert!(users.get(b"nobody").is_none());
        assert_eq!(format!("{users:?} {:?}", users.get(b"app")), "Users(2) Some(Secret)");
    }

    #[test]
    fn mistakes_are_told_with_their_line_and_without_the_secret() {
        let md5 = "\"u\" \"md5b9d11b3be25f5a1a7dc8ca04cd310b28\"";
        for (text, problem) in [
            ("app secret", "write it as"),
            ("\"app\" secret", "write it as"),
            ("\"app\" \"secret", "write it as"),
            ("\"app\" \"\"", "write it as"),
            ("\"app\" \"SCRAM-SHA-256$secret\"", "malformed"),
            (md5, "md5"),
            ("\"app\" \"secret\"\n\"app\" \"secret\"", "already"),
        ] {
            let text = format!("\n{text}");
            let error = Users::parse(&text).unwrap_err().to_string();
            let line = text.lines().count();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
            assert!(error.contains(problem) && !error.contains("secret\""), "{error}");
        }
    }
}
