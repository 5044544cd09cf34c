//! The commands, one file each. What they tell people goes to standard error, what they log or
//! answer to standard output.

pub mod check;
mod logging;
pub mod run;
pub mod throwaway;
