//! The names of prepared statements and portals, as the server keeps them.

/// The longest name the server keeps, in bytes: `NAMEDATALEN - 1`. The rest is cut off.
const NAME_LIMIT: usize = 63;

/// The name of a prepared statement or portal; empty for the unnamed one.
///
/// The server cuts it in its own encoding: beyond ASCII two names may be one to it that are not to
/// the client, or the other way round. So nothing is kept under such a name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Name(Box<[u8]>);

impl Name {
    /// A name as the server will know it.
    pub(super) fn new(bytes: &[u8]) -> Self {
        Self(bytes.get(..NAME_LIMIT).unwrap_or(bytes).into())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }
}
