//! What is known of the indexes of each database of each server, for a while.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::session::catalog::SharedCatalog;

/// How long an answer is fresh. It is believed for that time once more, 30 seconds in all: a
/// constraint that is made anew as another kind within them is still taken for what it was.
pub(super) const LIFETIME: Duration = Duration::from_secs(15);

/// The catalogs of the databases in use.
#[derive(Debug, Default)]
pub(super) struct Catalogs(Mutex<HashMap<Place, Arc<SharedCatalog>>>);

/// The number of a server, and the name of a database there.
type Place = (usize, Vec<u8>);

impl Catalogs {
    /// The catalog that the sessions of a database share, at the server with this number.
    pub(super) fn of(&self, server: usize, database: &[u8]) -> Arc<SharedCatalog> {
        let mut databases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(databases.entry((server, database.to_vec())).or_default())
    }

    /// Makes old what was learnt; forgets what was old, and databases that nobody uses.
    pub(super) fn expire(&self) {
        let mut databases = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        databases.retain(|_, catalog| Arc::strong_count(catalog) > 1);
        for catalog in databases.values() {
            catalog.expire();
        }
    }
}
