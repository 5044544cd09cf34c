#!/usr/bin/env bash
# A driver for Go, with the libraries that Debian has: with_go.sh lib_pq, with_go.sh pgx. With another
# word behind it only compiles.
set -euo pipefail
export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE
cd "$(dirname "$0")/go"
GOCACHE=$(realpath ../../..)/target/drivers-go
declare -A packages=([lib_pq]=golang-github-lib-pq-dev [pgx]=golang-github-jackc-pgx-v4-dev)
# Neither reports a version by itself.
DRIVER_VERSION=$(dpkg-query --showformat='${source:Upstream-Version}' --show "${packages[$1]}" || echo unknown)
export DRIVER_VERSION
if (($# > 1)); then
    exec go build -o /dev/null checks.go "$1.go"
fi
exec go run checks.go "$1.go"
