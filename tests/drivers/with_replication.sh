#!/usr/bin/env bash
# pg_basebackup, pg_receivewal, pg_recvlogical and a standby: replication connections pass the proxy
# as they are, and what is replicated is what was stored. The server is the script's own.
set -euo pipefail
# shellcheck source=checks.sh
. "$(dirname "$0")/checks.sh"
data=$SERVER_DIRECTORY/data
# The server's own user, where we are root: no server runs as root.
as_server() {
    if ((EUID == 0)); then
        setpriv --reuid="$(stat -c %u "$data")" --regid="$(stat -c %g "$data")" --clear-groups "$@"
    else
        "$@"
    fi
}
end() {
    [[ ! -e $scratch/standby/postmaster.pid ]] || as_server pg_ctl -D standby -m immediate -s stop || true
    [[ -z ${receiver:-} ]] || kill "$receiver" 2>/dev/null || true
    rm -rf "$scratch"
}
trap end EXIT
cd "$scratch"
chown --reference="$data" .

sql() { direct psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

sql -c "CREATE TABLE events (id int PRIMARY KEY, kind text)" \
    -c "INSERT INTO events SELECT n, 'first' FROM generate_series(1, 1000) n"

tool pg_basebackup

# The server comes to rest, and so what is copied past the proxy is the same.
sql -c "CHECKPOINT"
as_server pg_basebackup -D standby -X stream -c fast -R -S standby -C
direct as_server pg_basebackup -D past -X stream -c fast
# What holds a time, a position or an address is not the same twice.
own=(-x standby.signal -x pg_wal -x pg_control -x backup_label -x backup_manifest -x postgresql.auto.conf)
differing=$( (diff -rq "${own[@]}" standby past || true) | sort)
equal "the files" "$differing" ""
if [[ -e standby/backup_manifest ]]; then
    as_server pg_verifybackup -q -n standby
    echo "ok pg_verifybackup"
fi

# The backup begins to run as a standby, whose primary is where the proxy listens.
grep -q "port='*$PGPORT" standby/postgresql.auto.conf
echo "ok -R writes the proxy's address"
# In its own words: an older server does not know all that a newer pg_basebackup writes.
settings="-c listen_addresses= -k $scratch -p $SERVER_PORT"
settings+=" -c 'primary_conninfo=host=$PGHOST port=$PGPORT user=$PGUSER'"
as_server pg_ctl -D standby -w -s -l standby.log -o "$settings" start
standby() { PGHOST=$scratch PGPORT=$SERVER_PORT psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
rows=$(standby -c "SELECT count(*), max(kind) FROM events")
equal "the backup starts, and has the rows" "$rows" "1000|first"

# Duplicates and new rows, in autocommit and in a transaction.
insert() {
    local at=$1 told
    told=$(psql -X -v ON_ERROR_STOP=1 <<SQL | xargs
INSERT INTO events VALUES (1, 'again');
INSERT INTO events VALUES ($at, 'new');
BEGIN;
INSERT INTO events VALUES ($at, 'again');
INSERT INTO events VALUES ($at + 1, 'new'), (2, 'again');
COMMIT;
SQL
    ) || true
    local absorbed="INSERT 0 0 INSERT 0 1 BEGIN INSERT 0 0 INSERT 0 1 COMMIT"
    [[ $told == "$absorbed" ]] || equal "insert $at" "$told" "$absorbed"
}
insert 2000
wait_for 1002 standby -c "SELECT count(*) FROM events"
wait_for "$PGPORT" standby -c "SELECT sender_port FROM pg_stat_wal_receiver"
rows=$(standby -c "SELECT id, kind FROM events WHERE id IN (1, 2) OR id > 1000 ORDER BY id" | xargs)
equal "a standby through the proxy" "$rows" "1|first 2|first 2000|new 2001|new"

tool pg_receivewal

pg_receivewal -S wal --create-slot
mkdir received
pg_receivewal -D received -S wal -n 2>receivewal.log &
receiver=$!
wait_for t sql -c "SELECT active FROM pg_replication_slots WHERE slot_name = 'wal'"
insert 3000
segment=$(sql -c "SELECT pg_walfile_name(pg_current_wal_insert_lsn())")
sql -o made -c "SELECT pg_switch_wal()"
arrived() { [[ ! -e received/$segment ]] || echo whole; }
wait_for whole arrived
kill -INT "$receiver"
wait "$receiver"
same "a segment" "received/$segment" "$data/pg_wal/$segment"

tool pg_recvlogical

pg_recvlogical -d "$PGDATABASE" -S changes --create-slot -P test_decoding
sql -o made -c "SELECT pg_create_logical_replication_slot('past', 'test_decoding')"
insert 4000
end=$(sql -c "SELECT pg_current_wal_lsn()")
pg_recvlogical -d "$PGDATABASE" -S changes --start -n -E "$end" -f changes \
    -o include-xids=0 -o skip-empty-xacts=1
sql -c "SELECT data FROM pg_logical_slot_get_changes('past', NULL, NULL,
    'include-xids', '0', 'skip-empty-xacts', '1')" >past.changes
same "the changes" changes past.changes
inserted=$(grep -o 'INSERT: id.integer.:[0-9]*' changes | grep -o '[0-9]*$' | xargs)
equal "no duplicate among them" "$inserted" "4000 4001"
again="INSERT INTO events VALUES (1, 'again')"
shown=$(psql -X "dbname=$PGDATABASE replication=database" -c "$again" 2>&1) || true
equal "SQL on its connection has no rules" "${shown%%$'\n'*}" \
    'ERROR:  duplicate key value violates unique constraint "events_pkey"'
