//! What the programs of this package share; the list that they do is in `../README.md`.

use std::fmt::Debug;
use std::io;

/// 5 MiB.
#[must_use]
pub fn big() -> String {
    "v".repeat(5 << 20)
}

/// The keys of the batch.
pub fn batch() -> impl Iterator<Item = i32> {
    [1].into_iter().chain(100..300).chain([2, 100])
}

/// The keys of the batch in autocommit.
pub fn loads() -> impl Iterator<Item = i32> {
    (1..=200).chain([5])
}

/// Many statements as one text.
pub fn script(table: &str, ids: impl Iterator<Item = i32>) -> String {
    ids.map(|id| format!("INSERT INTO {table} VALUES ({id}, 'x');")).collect()
}

/// The version of a library that is built in; none reports it by itself.
#[must_use]
pub fn version(name: &str) -> &'static str {
    let lock = include_str!("../Cargo.lock");
    let (_, rest) = lock.split_once(&format!("name = \"{name}\"\nversion = \"")).expect("locked");
    rest.split('"').next().expect("a version")
}

/// Prints that this held.
pub fn ok(name: &str) {
    println!("ok {name}");
}

/// Prints that the driver has no such thing.
pub fn missing(name: &str, why: &str) {
    println!("-- {name}: {why}");
}

/// Prints that this held, if it did.
pub fn equal<T: PartialEq + Debug>(name: &str, actual: T, expected: T) {
    assert_eq!(actual, expected, "{name}");
    ok(name);
}

/// Returns when the server has crashed and come back.
pub fn restart() {
    println!("restart");
    io::stdin().read_line(&mut String::new()).expect("an answer");
}
