//! The users file, in the format of PgBouncer's
//! [userlist.txt](https://www.pgbouncer.org/config.html#authentication-file-format).

use std::collections::HashMap;
use std::fmt;

use thiserror::Error;

use super::secret::{Mock, Secret};

/// The users that may log in, and what is known of their passwords.
pub struct Users {
    accounts: HashMap<Vec<u8>, Account>,
    mock: Mock,
}

/// What is known of a user's password.
#[derive(Clone, PartialEq, Eq)]
pub struct Account {
    /// What a client is verified by.
    pub secret: Secret,
    /// The password itself, if that is in the file.
    pub password: Option<Vec<u8>>,
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
    ///
    /// `mock` makes up what there is to be shown of users that are not there, and the salts of those
    /// with a password. It must come from random bytes: salts are shown to everyone.
    pub fn parse(text: &str, mock: Mock) -> Result<Self, UserlistError> {
        let mut accounts = HashMap::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(';') {
                continue;
            }
            let wrong = |problem| UserlistError { line: index + 1, problem };
            let (user, account) = account(line, &mock).map_err(wrong)?;
            if accounts.insert(user, account).is_some() {
                return Err(wrong("this user is there already"));
            }
        }
        Ok(Self { accounts, mock })
    }

    /// What a user is verified by. For one who is not there it is a secret that no password has, so
    /// that nobody learns who is there.
    #[must_use]
    pub fn account(&self, user: &[u8]) -> Account {
        let made_up = || Account { secret: self.mock.secret(user), password: None };
        self.accounts.get(user).cloned().unwrap_or_else(made_up)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.accounts.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty()
    }
}

fn account(line: &str, mock: &Mock) -> Result<(Vec<u8>, Account), &'static str> {
    const FORM: &str = "write it as \"user\" \"SCRAM secret or password\", both in double quotes";
    let (user, rest) = quoted(line).ok_or(FORM)?;
    let (word, _) = quoted(rest.trim_start()).ok_or(FORM)?;
    let account = match Secret::parse(&word) {
        Some(secret) => Account { secret, password: None },
        None if word.starts_with("SCRAM-SHA-256$") => return Err("the SCRAM secret is malformed"),
        None if is_md5(&word) => {
            return Err("an md5 secret cannot verify SCRAM; set the password anew with \
                        password_encryption = 'scram-sha-256', and write what pg_authid has then");
        }
        None if user.is_empty() || word.is_empty() => return Err(FORM),
        None => {
            let salt = mock.secret(user.as_bytes()).salt;
            let secret = Secret::derive(word.as_bytes(), &salt);
            Account { secret, password: Some(word.into_bytes()) }
        }
    };
    Ok((user.into_bytes(), account))
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

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Account")
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
        let users = Users::parse(&text, Mock::new(b"random")).unwrap();
        assert_eq!(users.len(), 2);
        let app = users.account(b"app");
        assert!(app.password.is_none() && Some(app.secret) == Secret::parse(SECRET));
        assert!(users.account(b"o\"ne").password.as_deref() == Some(b"p w;"));
        assert_eq!(format!("{users:?} {:?}", users.account(b"app")), "Users(2) Account");
    }

    #[test]
    fn a_user_that_is_not_there_looks_like_one_with_a_password() {
        let salt = |user: &[u8], random: &[u8]| {
            let users = Users::parse("\"app\" \"secret\"", Mock::new(random)).unwrap();
            users.account(user).secret.salt
        };
        assert_eq!(salt(b"nobody", b"1").len(), salt(b"app", b"1").len());
        assert_eq!(salt(b"nobody", b"1"), salt(b"nobody", b"1"));
        // Nothing of them comes from what is in the file.
        for user in [&b"nobody"[..], b"app"] {
            assert_ne!(salt(user, b"1"), salt(user, b"2"));
        }
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
            let error = Users::parse(&text, Mock::new(b"random")).unwrap_err().to_string();
            let line = text.lines().count();
            assert!(error.starts_with(&format!("line {line}: ")), "{error}");
            assert!(error.contains(problem) && !error.contains("secret\""), "{error}");
        }
    }
}
