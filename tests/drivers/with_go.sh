#!/usr/bin/env bash
# A driver for Go, with the libraries that Debian has: with_go.sh lib_pq, with_go.sh pgx, and both with
# with_go.sh tls. With another word behind it only compiles.
set -euo pipefail
export GO111MODULE=off GOPATH=/usr/share/gocode GOFLAGS= GOCACHE DRIVER_VERSION
cd "$(dirname "$0")/go"
GOCACHE=$(realpath ../../..)/target/drivers-go
# Neither reports a version by itself.
declare -A packages=([lib_pq]=golang-github-lib-pq-dev [pgx]=golang-github-jackc-pgx-v4-dev [tls]=golang-go)
DRIVER_VERSION=$(dpkg-query --showformat='${source:Upstream-Version}' --show "${packages[$1]}" || echo unknown)
if (($# > 1)); then
    exec go build -o /dev/null checks.go "$1.go"
fi
exec go run checks.go "$1.go"
