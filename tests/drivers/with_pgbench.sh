#!/usr/bin/env bash
# pgbench in its three protocols. It gives a client up at the first error, so a run over
# duplicates that reaches its end with every transaction done is the proof that none was seen.
set -euo pipefail
here=$(dirname "$0")

equal() {
    if [[ $2 != "$3" ]]; then
        printf 'not ok %s: %s, expected %s\n' "$1" "$2" "$3"
        exit 1
    fi
    echo "ok $1"
}

# bench NAME TRANSACTIONS ARGUMENTS...: four clients do so many transactions together.
bench() {
    local name=$1 transactions=$2 output
    shift 2
    if ! output=$(pgbench -n -c 4 -j 2 -t $((transactions / 4)) "$@" 2>&1); then
        printf 'not ok %s:\n%s\n' "$name" "$output"
        exit 1
    fi
    equal "$name" "$(grep -o 'actually processed: .*' <<<"$output")" \
        "actually processed: $transactions/$transactions"
}

count() { psql -XAt -c "SELECT count(*) FROM events"; }

for protocol in simple extended prepared; do
    psql -X -q -c "TRUNCATE events"
    bench "$protocol, without duplicates" 400 -M "$protocol" -f "$here/pgbench-unique.sql"
    equal "$protocol, every row stored" "$(count)" 400
    psql -X -q -c "TRUNCATE events"
    bench "$protocol, with duplicates" 400 -M "$protocol" -f "$here/pgbench-duplicates.sql"
    equal "$protocol, one row for each key" "$(count)" 20
    psql -X -q -c "TRUNCATE events"
    bench "$protocol, with duplicates in transactions" 400 -M "$protocol" -f "$here/pgbench-transactions.sql"
    equal "$protocol, one row for each key and transaction" "$(count)" 420
done
for protocol in extended prepared; do
    psql -X -q -c "TRUNCATE events"
    bench "$protocol, with duplicates in pipelines" 400 -M "$protocol" -f "$here/pgbench-pipelines.sql"
    equal "$protocol, one row for each key and pipeline" "$(count)" 420
done

pgbench -i -q -s 1 2>/dev/null
echo "ok initialise"
for protocol in simple extended prepared; do
    bench "$protocol, select only" 2000 -M "$protocol" -S
    bench "$protocol, tpc-b like" 200 -M "$protocol" -b tpcb-like
done
