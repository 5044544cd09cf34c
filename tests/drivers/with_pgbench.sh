#!/usr/bin/env bash
# pgbench in its three protocols. It gives a client up at the first error, so a run over
# duplicates that reaches its end with every transaction done is the proof that none was seen. It
# tells no counts of rows. The list and the tables: see README.md.
set -euo pipefail
here=$(dirname "$0")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

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

# one PROTOCOL: runs the script on standard input once; what it says of errors is in $scratch/said.
one() {
    cat >"$scratch/script"
    pgbench -n -t 1 -M "$1" -f "$scratch/script" >"$scratch/said" 2>&1
}

# does NAME PROTOCOL: the same, which has to reach its end.
does() {
    one "$2" || fail "$1" "$(cat "$scratch/said")"
}

# fails NAME TEXT: the same, which has to say this.
fails() {
    ! one simple || fail "$1" "no error"
    grep -q "$2" "$scratch/said" || fail "$1" "$(cat "$scratch/said")"
}

fail() {
    printf 'not ok %s:\n%s\n' "$@"
    exit 1
}

ok() { echo "ok $1"; }

# inserts TABLE NUMBERS...
inserts() {
    local table=$1 number
    shift
    for number in "$@"; do echo "INSERT INTO $table VALUES ($number, 'x');"; done
}

# The list.

echo "driver $(pgbench --version | grep -o '[0-9.]*' | head -n 1)"
for user in trust password md5 scram; do
    name="login, ${user/scram/scram-sha-256}"
    PGUSER=$user PGPASSWORD=secret does "$name" simple <<<"SELECT 1 / (current_user = '$user')::int;"
    ok "$name"
done
does "simple insert" simple < <(inserts events 1)
ok "simple insert"
does "prepared insert" prepared < <(inserts events 2 3)
ok "prepared insert"
for protocol in simple extended prepared; do
    does "duplicate in autocommit" $protocol <<<"INSERT INTO events VALUES (1, 'again');"
done
ok "duplicate in autocommit"
does "duplicate in a transaction" extended < <(echo "BEGIN;"; inserts events 1 10 10 2 11; echo "COMMIT;")
ok "duplicate in a transaction"
# Where it is to store what came, there has to be a row.
returning="INSERT INTO events VALUES (20, 'x') RETURNING id"
does "duplicate with RETURNING" extended <<END
$returning \gset
$returning;
BEGIN;
${returning/20/21} \gset
${returning/20/21};
${returning/20/1};
COMMIT;
SELECT 1 / (:id = 21)::int;
END
ok "duplicate with RETURNING"
does "duplicate among several rows" extended <<<"INSERT INTO events VALUES (30, 'x'), (1, 'x'), (31, 'x');"
ok "duplicate among several rows"
pipeline() { printf '\\startpipeline\n%s\n\\endpipeline\n' "$1"; }
does "batch in a transaction" prepared < <(pipeline "BEGIN; $(inserts events 1 {100..299} 2 100) COMMIT;")
ok "batch in a transaction"
does "batch in autocommit" simple < <(inserts loads 5)
does "batch in autocommit" extended < <(pipeline "$(inserts loads {1..200} 5)")
ok "batch in autocommit"
echo "-- COPY: in its initialisation alone"
{
    echo "BEGIN; DECLARE reader CURSOR FOR SELECT generate_series(1, 100) AS number;"
    for number in {15..90..15}; do
        echo "FETCH 10 FROM reader; FETCH 4 FROM reader;"
        printf 'FETCH 1 FROM reader \\gset\nSELECT 1 / (:number = %s)::int;\n' "$number"
        inserts events 1 $((400 + number))
    done
    printf 'FETCH 9 FROM reader;\nFETCH 1 FROM reader \\gset\nSELECT 1 / (:number = 100)::int;\nCOMMIT;\n'
} >"$scratch/reads"
does "cursor" simple <"$scratch/reads"
ok "cursor"
echo "-- LISTEN: it tells of no notification"
echo "-- cancel: it ends without a word to the server"
{
    printf "INSERT INTO events VALUES (50, '"
    head -c 5242880 /dev/zero | tr '\0' v
    printf "');\n"
} >"$scratch/big"
does "large value" simple <"$scratch/big"
does "large value" simple <<<"INSERT INTO events VALUES (50, 'again');
    SELECT 1 / (length(kind) = 5242880)::int FROM events WHERE id = 50;"
ok "large value"
does "error shown" simple < <(echo "INSERT INTO other VALUES (1);")
fails "error shown" other_pkey <<<"INSERT INTO other VALUES (1);"
fails "error shown" other_pkey < <(echo "BEGIN;"; inserts events 60; echo "INSERT INTO other VALUES (1);")
ok "error shown"
echo "SELECT pg_sleep(600);" >"$scratch/sleep"
pgbench -n -t 1 -f "$scratch/sleep" >"$scratch/ended" 2>&1 &
sleeper=$!
asleep() { psql -XAt -c "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'"; }
until [[ $(asleep) == 1 ]]; do sleep 0.05; done
echo restart
read -r _
! wait "$sleeper" || fail "reconnect" "$(cat "$scratch/ended")"
does "reconnect" simple < <(inserts events 1 70)
ok "reconnect"

# What is its own.

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
