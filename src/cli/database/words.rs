//! What a connection string says of encryption, in
//! [libpq's words](https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLMODE).

use percent_encoding::percent_decode_str;

use crate::config::{Identity, Roots, ServerMode, ServerTls};

/// The words and their values.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Words {
    mode: Option<String>,
    root: Option<String>,
    certificate: Option<String>,
    key: Option<String>,
}

/// Takes the words out of a URL or a list of `key=value`. The rest is for the `postgres` crate, which
/// knows one of them, and not all that it may be.
pub(super) fn take(told: &str) -> (String, Words) {
    let mut words = Words::default();
    let is_url = told.starts_with("postgresql://") || told.starts_with("postgres://");
    let rest = if is_url { words.hear_url(told) } else { words.hear_list(told) };
    (rest, words)
}

impl Words {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What `[server_tls]` would have to say for the same; `None` is no encryption.
    pub(super) fn settings(self) -> anyhow::Result<Option<ServerTls>> {
        let roots = self.root.map(|it| match it.as_str() {
            "system" => Roots::System,
            _ => Roots::File(it.into()),
        });
        let is_system = roots == Some(Roots::System);
        let default = if is_system { "verify-full" } else { "prefer" };
        let mode = match (self.mode.as_deref().unwrap_or(default), roots.is_some()) {
            ("disable", _) => return Ok(None),
            ("prefer", false) => ServerMode::Prefer,
            ("require", false) => ServerMode::Require,
            ("verify-full", true) => ServerMode::VerifyFull,
            // What one gets who asks for a certificate of the system's, for whichever name: nothing.
            (weak, true) if is_system => anyhow::bail!(
                "sslmode={weak} with sslrootcert=system trusts whoever has a certificate: say \
                 sslmode=verify-full"
            ),
            // A root is for being verified by, in libpq as well.
            ("require" | "verify-ca", true) => ServerMode::VerifyCa,
            ("prefer", true) => anyhow::bail!(
                "sslrootcert is for a server that is made sure of: say sslmode=verify-full"
            ),
            (verifying @ ("verify-ca" | "verify-full"), false) => anyhow::bail!(
                "sslmode={verifying} needs sslrootcert=FILE, with the root by which the server's \
                 certificate is signed, or sslrootcert=system"
            ),
            (other, _) => anyhow::bail!(
                "sslmode={other} is not known here: say disable, prefer, require, verify-ca or \
                 verify-full"
            ),
        };
        let identity = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => {
                Some(Identity { certificate: certificate.into(), key: key.into() })
            }
            (None, None) => None,
            (Some(_), None) => anyhow::bail!("sslcert needs sslkey=FILE, with the key to it"),
            (None, Some(_)) => anyhow::bail!("sslkey needs sslcert=FILE, with the certificate"),
        };
        Ok(Some(ServerTls { mode, roots, name: None, identity }))
    }

    fn hear_url(&mut self, url: &str) -> String {
        // All in front of the first @ is a user and a password.
        let (login, rest) = match url.split_once('@') {
            Some((login, rest)) => (format!("{login}@"), rest),
            None => (String::new(), url),
        };
        let Some((place, listed)) = rest.split_once('?') else { return url.to_owned() };
        let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let is_kept = |pair: &&str| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            !self.hear(&decoded(key), decoded(value))
        };
        let kept: Vec<_> = listed.split('&').filter(is_kept).collect();
        let mark = if kept.is_empty() { "" } else { "?" };
        format!("{login}{place}{mark}{}", kept.join("&"))
    }

    fn hear_list(&mut self, list: &str) -> String {
        let (mut kept, mut rest) = (String::new(), list);
        while let Some(pair) = Pair::first(rest) {
            if !self.hear(pair.key, pair.value) {
                kept += pair.text;
                kept.push(' ');
            }
            rest = pair.rest;
        }
        // What cannot be read is the crate's to reject.
        kept + rest
    }

    /// Whether this is one of the words; the last of two counts.
    fn hear(&mut self, key: &str, value: String) -> bool {
        let place = match key {
            "sslmode" => &mut self.mode,
            "sslrootcert" => &mut self.root,
            "sslcert" => &mut self.certificate,
            "sslkey" => &mut self.key,
            _ => return false,
        };
        *place = Some(value);
        true
    }
}

/// One `key=value` of a list.
struct Pair<'a> {
    /// As it is written.
    text: &'a str,
    key: &'a str,
    /// Without its quotes and backslashes.
    value: String,
    /// What comes behind it.
    rest: &'a str,
}

impl<'a> Pair<'a> {
    fn first(list: &'a str) -> Option<Self> {
        let list = list.trim_start();
        let (key, value) = list.split_once('=')?;
        let value = value.trim_start();
        let (value, rest) = match value.strip_prefix('\'') {
            Some(quoted) => until(quoted, |it| it == '\'')?,
            None => until(value, char::is_whitespace).unwrap_or_else(|| (unescaped(value), "")),
        };
        Some(Self { text: list.strip_suffix(rest)?, key: key.trim_end(), value, rest })
    }
}

/// What is in front of a character that no backslash is in front of, and what is behind it.
fn until(text: &str, is_end: impl Fn(char) -> bool) -> Option<(String, &str)> {
    let mut chars = text.chars();
    let mut value = String::new();
    loop {
        match chars.next()? {
            '\\' => value.push(chars.next()?),
            end if is_end(end) => return Some((value, chars.as_str())),
            other => value.push(other),
        }
    }
}

fn unescaped(text: &str) -> String {
    let mut chars = text.chars();
    let mut value = String::new();
    while let Some(next) = chars.next() {
        value.extend(if next == '\\' { chars.next() } else { Some(next) });
    }
    value
}

#[cfg(test)]
mod tests;
