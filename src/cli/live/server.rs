//! The one transaction in which a database is looked at, and what the server says of itself.

use anyhow::Context as _;
use postgres::{Client, Transaction};

/// What the server says of itself and of who has connected.
#[derive(Debug)]
pub(in crate::cli) struct Server {
    pub(in crate::cli) version: String,
    pub(in crate::cli) database: String,
    pub(in crate::cli) user: String,
    /// The isolation level of a transaction that asks for none.
    pub(in crate::cli) isolation: String,
    /// Whether a backslash in a string is one, to a session that sets nothing.
    pub(in crate::cli) standard_conforming_strings: bool,
    /// A standby: nothing can be inserted here.
    pub(in crate::cli) is_standby: bool,
}

/// Begins the transaction in which everything is read: read-only, and at the user's own isolation
/// level, since that is a part of what is looked at. It ends with the client.
pub(in crate::cli) fn begin(client: &mut Client) -> anyhow::Result<Transaction<'_>> {
    let mut transaction =
        client.build_transaction().read_only(true).start().context("cannot begin a transaction")?;
    transaction
        .batch_execute("SET LOCAL standard_conforming_strings = on; SET LOCAL lock_timeout = '3s'")
        .context("cannot set up the transaction")?;
    Ok(transaction)
}

impl Server {
    pub(in crate::cli) fn of(transaction: &mut Transaction<'_>) -> anyhow::Result<Self> {
        let row = transaction
            .query_one(
                "SELECT pg_catalog.current_setting('server_version'),
                    pg_catalog.current_database()::pg_catalog.text, session_user::pg_catalog.text,
                    pg_catalog.current_setting('transaction_isolation'),
                    pg_catalog.pg_is_in_recovery(),
                    (SELECT reset_val OPERATOR(pg_catalog.=) 'on' FROM pg_catalog.pg_settings
                     WHERE name OPERATOR(pg_catalog.=) 'standard_conforming_strings')",
                &[],
            )
            .context("cannot ask the server what it is")?;
        Ok(Self {
            version: row.try_get(0)?,
            database: row.try_get(1)?,
            user: row.try_get(2)?,
            isolation: row.try_get(3)?,
            is_standby: row.try_get(4)?,
            standard_conforming_strings: row.try_get(5)?,
        })
    }
}
