//! The `pgabsorb` command.
fn main() {}
