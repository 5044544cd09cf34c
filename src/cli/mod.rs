//! The commands, one file or folder each. What they tell people goes to standard error, what they
//! log or answer to standard output.

pub mod check;
mod database;
pub mod demo;
pub mod explain;
mod live;
mod logging;
mod reload;
pub mod run;
pub mod schema;
mod service;
pub mod suggest;
pub mod throwaway;
