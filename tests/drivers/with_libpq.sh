#!/usr/bin/env bash
# libpq from C: compiles with_libpq.c, and runs it.
set -euo pipefail
here=$(dirname "$0")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cc -Wall -Wextra -O1 -I"$(pg_config --includedir)" -o "$scratch/program" "$here/with_libpq.c" -lpq
"$scratch/program"
