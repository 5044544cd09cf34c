#!/usr/bin/env bash
# libpqxx from C++: compiles with_libpqxx.cpp, and runs it.
set -euo pipefail
here=$(dirname "$0")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Newer versions have other names too for what is called here.
c++ -std=c++17 -Wall -Wextra -Wno-deprecated-declarations -O0 -I"$(pg_config --includedir)" \
    -o "$scratch/program" "$here/with_libpqxx.cpp" -lpqxx -lpq
"$scratch/program"
