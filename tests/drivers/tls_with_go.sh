#!/usr/bin/env bash
# lib/pq and pgx log in over TLS, as PGUSER, PGPORT and CA say: see go/tls.go.
exec "$(dirname "$0")/with_go.sh" tls
