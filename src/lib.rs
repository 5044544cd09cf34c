//! A PostgreSQL proxy.
pub mod cli;
pub mod config;
pub mod rules;
pub mod sql;
