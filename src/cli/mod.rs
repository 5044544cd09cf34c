//! What the commands are made of.

pub mod throwaway;
