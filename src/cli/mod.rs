//! The commands, one file or folder each. What they tell people goes to standard error, what they
//! log or answer to standard output.

pub mod check;
#[expect(dead_code, reason = "check and suggest are to use it")]
mod database;
pub mod demo;
mod logging;
mod reload;
pub mod run;
pub mod throwaway;
