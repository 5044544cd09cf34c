#!/usr/bin/env bash
# psql: simple queries, \copy, and Ctrl-C. The list and the tables: see README.md.
set -euo pipefail

run() { psql -X -v VERBOSITY=sqlstate "$@" 2>&1 || true; }

# One check of several behind one name.
same() {
    if [[ $2 != "$3" ]]; then
        printf 'not ok %s:\n%s\nexpected:\n%s\n' "$1" "$2" "$3"
        exit 1
    fi
}

equal() {
    same "$@"
    echo "ok $1"
}

# How often each line is there.
counted() { sort | uniq -c | awk '{ $1 = $1; printf "%s%s", (NR > 1 ? ", " : ""), $0 }'; }

# inserts TABLE NUMBERS...: an INSERT for each number.
inserts() {
    local table=$1 number
    shift
    for number in "$@"; do echo "INSERT INTO $table VALUES ($number, 'x');"; done
}

insert="INSERT INTO events VALUES (1, 'x')"
shown="ERROR:  23505"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# The list.

echo "driver $(psql --version | grep -o '[0-9.]*' | head -n 1)"
for user in trust password md5 scram; do
    name="login, ${user/scram/scram-sha-256}"
    equal "$name" "$(PGPASSWORD=secret run -U $user -At -c "SELECT current_user")" "$user"
done
equal "simple insert" "$(run -c "$insert")" "INSERT 0 1"
echo "-- prepared insert: in SQL alone, and the error of EXECUTE is shown"
psql -X -q -c "INSERT INTO events VALUES (2, 'x'), (3, 'x')"
equal "duplicate in autocommit" "$(run -c "INSERT INTO events VALUES (1, 'again')")" "INSERT 0 0"
equal "duplicate in a transaction" "$(run < <(echo "BEGIN;"; inserts events 1 10 10 2 11; echo "COMMIT;"))" \
    $'BEGIN\nINSERT 0 0\nINSERT 0 1\nINSERT 0 0\nINSERT 0 0\nINSERT 0 1\nCOMMIT'
returning="INSERT INTO events VALUES (20, 'x') RETURNING id;"
equal "duplicate with RETURNING" "$(run -At <<<"$returning $returning BEGIN; ${returning/20/21}
    ${returning/20/21} $insert RETURNING id; COMMIT;")" \
    $'20\nINSERT 0 1\nINSERT 0 0\nBEGIN\n21\nINSERT 0 1\nINSERT 0 0\nINSERT 0 0\nCOMMIT'
equal "duplicate among several rows" "$(run -c "INSERT INTO events VALUES (30, 'x'), (1, 'x'), (31, 'x')")" \
    "INSERT 0 2"
# As one query: what \\; joins, and all of a -c.
batch=$(inserts events 1 {100..299} 2 100 | sed 's/;$/\\;/')
equal "batch in a transaction" "$(run <<<"BEGIN; $batch COMMIT;" | counted)" \
    "1 BEGIN, 1 COMMIT, 3 INSERT 0 0, 200 INSERT 0 1"
psql -X -q -c "INSERT INTO loads VALUES (5, 'x')"
equal "batch in autocommit" "$(run -c "$(inserts loads {1..200} 5)" | counted)" \
    "2 INSERT 0 0, 199 INSERT 0 1"
psql -X -q -c "INSERT INTO other VALUES (1)"
seq 1 9999 >"$scratch/all"
same "COPY" "$(run -c "\\copy other FROM PROGRAM 'seq 2 9999'")" "COPY 9998"
same "COPY" "$(run -c "\\copy (SELECT id FROM other ORDER BY id) TO '$scratch/out'")" "COPY 9999"
equal "COPY" "$(cksum <"$scratch/out")" "$(cksum <"$scratch/all")"
reads() {
    echo "BEGIN; DECLARE reader CURSOR FOR SELECT generate_series(1, 100);"
    for number in {15..90..15}; do
        # By 10, and to the one that is inserted behind.
        echo "FETCH 10 FROM reader; FETCH 5 FROM reader; $insert; INSERT INTO events VALUES (400 + $number, 'x');"
    done
    echo "FETCH 10 FROM reader; COMMIT;"
}
read=$(run -At < <(reads))
same "cursor" "$(grep -x '[0-9]*' <<<"$read")" "$(seq 100)"
equal "cursor" "$(grep -c 'INSERT 0 0' <<<"$read") $(grep -c 'INSERT 0 1' <<<"$read")" "6 6"
heard=$(run <<<"LISTEN ears; NOTIFY ears, 'hello';")
[[ $heard == *'notification "ears" with payload "hello"'* ]] || same "LISTEN" "$heard" "heard"
echo "ok LISTEN"

# asleep TEXT: returns when a session sleeps with this text.
asleep() {
    run -q -c "DO \$\$ BEGIN
        WHILE NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()
                AND query = '$1' AND wait_event = 'PgSleep') LOOP
            PERFORM pg_sleep(0.01); PERFORM pg_stat_clear_snapshot();
        END LOOP; END \$\$"
}
# Ctrl-C, once the statement has reached the server. A psql that reads a script ends by it.
psql -X -v VERBOSITY=sqlstate -At -c "SELECT pg_sleep(60);" >"$scratch/cancelled" 2>&1 &
sleeper=$!
asleep "SELECT pg_sleep(60);"
kill -INT "$sleeper"
wait "$sleeper" || true
equal "cancel" "$(cat "$scratch/cancelled")" $'Cancel request sent\nERROR:  57014'

{
    printf "INSERT INTO events VALUES (50, '"
    head -c 5242880 /dev/zero | tr '\0' v
    printf "');"
} >"$scratch/big.sql"
same "large value" "$(run -f "$scratch/big.sql")" "INSERT 0 1"
same "large value" "$(run -c "INSERT INTO events VALUES (50, 'again')")" "INSERT 0 0"
equal "large value" "$(run -At -c "SELECT kind FROM events WHERE id = 50" | head -c 5242880 | cksum)" \
    "$(head -c 5242880 /dev/zero | tr '\0' v | cksum)"
other="INSERT INTO other VALUES (1)"
same "error shown" "$(psql -X -c "$other" 2>&1 | grep -o other_pkey)" "other_pkey"
equal "error shown" "$(run <<<"$other; BEGIN; INSERT INTO events VALUES (60, 'x'); $other;
    INSERT INTO events VALUES (61, 'x'); ROLLBACK;")" \
    "$shown"$'\nBEGIN\nINSERT 0 1\n'"$shown"$'\nERROR:  25P02\nROLLBACK'
# One session that is open when the server goes; its next statement is sent behind that.
mkfifo "$scratch/statements"
psql -X -At <"$scratch/statements" >"$scratch/session" 2>&1 &
session=$!
exec 7>"$scratch/statements"
echo "SELECT 'open' \\g $scratch/open" >&7
until [[ -s $scratch/open ]]; do sleep 0.01; done
echo restart
read -r _
echo "SELECT 'goes on';" >&7
exec 7>&-
wait "$session" || true
[[ $(cat "$scratch/session") != *"goes on"* ]] || same "reconnect" "$(cat "$scratch/session")" "an error"
equal "reconnect" "$(run < <(inserts events 1 70))" $'INSERT 0 0\nINSERT 0 1'

# What is its own.

psql -X -q -c "TRUNCATE events, loads, other; $insert"
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
equal "cursor beside duplicates" "$(run -At <<<"BEGIN; DECLARE c CURSOR FOR SELECT generate_series(1, 9); FETCH 2 FROM c;
    $insert; FETCH 1 FROM c; $insert RETURNING id; FETCH 1 FROM c; COMMIT;")" \
    $'BEGIN\nDECLARE CURSOR\n1\n2\nINSERT 0 0\n3\nINSERT 0 0\n4\nCOMMIT'
equal "unlisted in a transaction" "$(run <<<"BEGIN; $insert; INSERT INTO other VALUES (1);
    $insert; ROLLBACK; SELECT 1/0;")" \
    $'BEGIN\nINSERT 0 0\n'"$shown"$'\nERROR:  25P02\nROLLBACK\nERROR:  22012'
equal "rows of the transactions" \
    "$(run -At -c "SELECT string_agg(id::text, ' ' ORDER BY id) FROM events")" "1 2 3 4 5 6 7 8 9"
