//! What the fuzz targets have in common; see README.md.

pub mod memory;
pub mod messages;
pub mod model;
pub mod scene;
pub mod script;
pub mod splice;
pub mod stream;
pub mod support;
