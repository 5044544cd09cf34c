#!/usr/bin/env bash
# pgjdbc: compiles what is in pgjdbc, and runs it.
set -euo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# Where Debian puts the driver.
jar=/usr/share/java/postgresql.jar
# For a run of a few seconds: less compiling, and no file for jstat and its like.
options=(-XX:TieredStopAtLevel=1 -XX:-UsePerfData)
javac "${options[@]/#/-J}" -nowarn -d "$scratch" -cp "$jar" "$(dirname "$0")"/pgjdbc/*.java 2>"$scratch/said" ||
    { cat "$scratch/said" >&2 && exit 1; }
java "${options[@]}" -cp "$jar:$scratch" WithPgjdbc
