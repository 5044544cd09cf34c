#!/usr/bin/env bash
# psql: simple queries, \copy, and Ctrl-C. The tables and the environment: see checks.py.
set -euo pipefail

run() { psql -X -v VERBOSITY=sqlstate "$@" 2>&1 || true; }

equal() {
    if [[ $2 != "$3" ]]; then
        printf 'not ok %s:\n%s\nexpected:\n%s\n' "$1" "$2" "$3"
        exit 1
    fi
    echo "ok $1"
}

insert="INSERT INTO events VALUES (1, 'x')"
shown="ERROR:  23505"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

equal "insert" "$(run -c "$insert")" "INSERT 0 1"
equal "duplicate" "$(run -c "$insert")" "INSERT 0 0"
psql -X -q -v ON_ERROR_STOP=1 -c "$insert"
echo "ok duplicate ends with status 0"
equal "several commands" "$(run <<<"$insert; $insert; SELECT 1 \g (format=unaligned tuples_only)")" \
    $'INSERT 0 0\nINSERT 0 0\n1'

equal "unlisted" "$(run -c "INSERT INTO other VALUES (1)" -c "INSERT INTO other VALUES (1)")" \
    $'INSERT 0 1\n'"$shown"
equal "several rows" "$(run -c "INSERT INTO events VALUES (2, 'x'), (1, 'x'), (3, 'x')")" "INSERT 0 2"
equal "of a query" "$(run -c "INSERT INTO events SELECT n, 'x' FROM generate_series(3, 4) n")" "INSERT 0 1"
equal "returning" "$(run -At -c "$insert RETURNING id" -c "INSERT INTO events VALUES (5) RETURNING id")" \
    $'INSERT 0 0\n5\nINSERT 0 1'
# One transaction without BEGIN: the error has already undone the neighbour.
equal "several statements in one query" "$(run -c "INSERT INTO events VALUES (6, 'x'); $insert")" \
    $'INSERT 0 1\n'"$shown"
equal "rows" "$(run -At -c "SELECT count(*) FROM events")" "5"

six="INSERT INTO events VALUES (6, 'x')"
equal "transaction" "$(run -At <<<"BEGIN; $insert; $six; $six; $six RETURNING id;
    INSERT INTO events VALUES (1), (6), (7); SELECT count(*) FROM events; COMMIT;")" \
    $'BEGIN\nINSERT 0 0\nINSERT 0 1\nINSERT 0 0\nINSERT 0 0\nINSERT 0 1\n7\nCOMMIT'
# \; sends several statements as one query.
equal "statements in one query of a transaction" "$(run -At <<<"BEGIN\\; $insert; $insert\\;
    INSERT INTO events VALUES (8)\\; $six; ROLLBACK;")" \
    $'BEGIN\nINSERT 0 0\nINSERT 0 0\nINSERT 0 1\nINSERT 0 0\nROLLBACK'
equal "savepoints" "$(run -At <<<"BEGIN; SAVEPOINT own; $insert; INSERT INTO events VALUES (8); $insert;
    ROLLBACK TO own; $insert; INSERT INTO events VALUES (8); RELEASE own; $insert; COMMIT;")" \
    $'BEGIN\nSAVEPOINT\nINSERT 0 0\nINSERT 0 1\nINSERT 0 0\nROLLBACK\nINSERT 0 0\nINSERT 0 1\nRELEASE\nINSERT 0 0\nCOMMIT'
# psql then sets a savepoint of its own around each statement.
equal "ON_ERROR_ROLLBACK" "$(run -v ON_ERROR_ROLLBACK=on <<<"BEGIN; $insert; SELECT 1/0; $insert;
    INSERT INTO events VALUES (9); INSERT INTO other VALUES (1); $insert; COMMIT;")" \
    $'BEGIN\nINSERT 0 0\nERROR:  22012\nINSERT 0 0\nINSERT 0 1\n'"$shown"$'\nINSERT 0 0\nCOMMIT'
equal "cursor" "$(run -At <<<"BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 9); FETCH 2 FROM c;
    $insert; FETCH 1 FROM c; $insert RETURNING id; FETCH 1 FROM c; COMMIT;")" \
    $'BEGIN\nDECLARE CURSOR\n1\n2\nINSERT 0 0\n3\nINSERT 0 0\n4\nCOMMIT'
equal "unlisted in a transaction" "$(run <<<"BEGIN; $insert; INSERT INTO other VALUES (1);
    $insert; ROLLBACK; SELECT 1/0;")" \
    $'BEGIN\nINSERT 0 0\n'"$shown"$'\nERROR:  25P02\nROLLBACK\nERROR:  22012'
equal "rows of the transactions" \
    "$(run -At -c "SELECT string_agg(id::text, ' ' ORDER BY id) FROM events")" "1 2 3 4 5 6 7 8 9"

seq 2 9999 >"$scratch/in"
equal "copy in" "$(run -c "\\copy other FROM '$scratch/in'")" "COPY 9998"
equal "copy out" "$(run -c "\\copy (SELECT id FROM other ORDER BY id) TO '$scratch/out'")" "COPY 9999"
equal "copied" "$(tail -n +2 "$scratch/out" | cksum)" "$(cksum <"$scratch/in")"

heard=$(run <<<"LISTEN ears; NOTIFY ears, 'hello';")
[[ $heard == *'notification "ears" with payload "hello"'* ]] || equal "notify" "$heard" "heard"
echo "ok notify"

{
    printf "INSERT INTO events VALUES (40, '"
    head -c 5242880 /dev/zero | tr '\0' v
    printf "');"
} >"$scratch/big.sql"
equal "big insert" "$(run -f "$scratch/big.sql")" "INSERT 0 1"
equal "big value" "$(run -At -c "SELECT kind FROM events WHERE id = 40" | head -c 5242880 | cksum)" \
    "$(head -c 5242880 /dev/zero | tr '\0' v | cksum)"

# Ctrl-C, once the statement has reached the server.
psql -X -c "SELECT pg_sleep(60)" >"$scratch/cancelled" 2>&1 &
sleeper=$!
run -q -c "DO \$\$ BEGIN
    WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
            AND query = 'SELECT pg_sleep(60)' AND wait_event = 'PgSleep') LOOP
        PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot();
    END LOOP; END \$\$"
kill -INT "$sleeper"
wait "$sleeper" || true
cancelled=$(cat "$scratch/cancelled")
[[ $cancelled == *"canceling statement due to user request"* ]] || equal "cancel" "$cancelled" "cancelled"
echo "ok cancel"
