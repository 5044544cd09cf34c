#!/usr/bin/env bash
# A driver for Rust, of a package of its own: with_rust.sh sqlx, with_rust.sh diesel. tests/run has
# fetched and compiled it.
set -euo pipefail
cd "$(dirname "$0")/rust"
exec cargo run --quiet --locked --offline --target-dir ../../../target/drivers-rust --bin "$1"
