//! A PostgreSQL proxy.
pub mod config;
pub mod rules;
pub mod sql;
