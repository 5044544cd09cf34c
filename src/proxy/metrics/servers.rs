//! What came of connections to each server.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;

use crate::config::Address;

/// The numbers of one server.
#[derive(Clone, Debug, Default)]
pub(in crate::proxy) struct Connections {
    /// It was reached.
    pub(in crate::proxy) reached: Counter,
    /// It was not, or takes nobody for now.
    pub(in crate::proxy) failed: Counter,
    /// It was, and is not what clients are to have.
    pub(in crate::proxy) unfit: Counter,
}

impl Connections {
    /// Everything at 0, and registered, for each of the servers.
    pub(super) fn register(registry: &mut Registry, servers: &[Address]) -> Vec<Self> {
        let family = Family::<[(&'static str, String); 2], Counter>::default();
        registry.register(
            "server_connections",
            "Connections to servers that were tried, by what came of them",
            family.clone(),
        );
        let of = |server: &Address, result: &str| {
            let labels = [("server", server.to_string()), ("result", result.to_owned())];
            family.get_or_create_owned(&labels)
        };
        let counters = |server: &Address| Self {
            reached: of(server, "reached"),
            failed: of(server, "failed"),
            unfit: of(server, "unfit"),
        };
        servers.iter().map(counters).collect()
    }
}
