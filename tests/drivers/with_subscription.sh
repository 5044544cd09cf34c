#!/usr/bin/env bash
# A subscription whose publisher is behind the proxy: its tables are copied and its changes come by
# replication connections, which pass as they are. Both servers are the script's own; what is past the
# proxy is the publisher, and the subscriber is by SUBSCRIBER_HOST and SUBSCRIBER_PORT.
set -euo pipefail
# shellcheck source=checks.sh
. "$(dirname "$0")/checks.sh"
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

publisher() { direct psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }
subscriber() { PGHOST=$SUBSCRIBER_HOST PGPORT=$SUBSCRIBER_PORT psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

for server in publisher subscriber; do
    $server -c "CREATE TABLE events (id int PRIMARY KEY, kind text)" -c "CREATE TABLE later (id int PRIMARY KEY)"
done
publisher -c "INSERT INTO events SELECT n, 'first' FROM generate_series(1, 1000) n" \
    -c "INSERT INTO later VALUES (1), (2)" -c "CREATE PUBLICATION news FOR TABLE events"

echo "tool CREATE SUBSCRIPTION $(publisher -c 'SHOW server_version' | grep -o '^[0-9.]*')"


# COPY, by a connection of its own for each table.
rows() { "$1" -c "SELECT id, kind FROM events ORDER BY id"; }
has() { subscriber -c "SELECT count(*) FROM $1"; }
subscriber -c "SET client_min_messages = warning" -c "CREATE SUBSCRIPTION read
    CONNECTION 'host=$PGHOST port=$PGPORT user=$PGUSER dbname=$PGDATABASE' PUBLICATION news"
wait_for 1000 has events
rows publisher >published
rows subscriber >read
same "the rows that are there" read published

# Duplicates and new rows, in autocommit and in a transaction, and what else there is.
told=$(psql -X -v ON_ERROR_STOP=1 <<'SQL' | xargs
INSERT INTO events VALUES (1, 'again');
INSERT INTO events VALUES (2000, 'new');
BEGIN;
INSERT INTO events VALUES (2000, 'again');
INSERT INTO events VALUES (2001, 'new'), (2, 'again');
UPDATE events SET kind = 'changed' WHERE id = 3;
DELETE FROM events WHERE id = 4;
INSERT INTO events VALUES (2002, 'new');
COMMIT;
SQL
)
[[ $told == "INSERT 0 0 INSERT 0 1 BEGIN INSERT 0 0 INSERT 0 1 UPDATE 1 DELETE 1 INSERT 0 1 COMMIT" ]] ||
    equal "inserts" "$told" "those that are new"
wait_for 1002 has events
rows publisher >published
rows subscriber >read
same "the changes" read published

publisher -c "ALTER PUBLICATION news ADD TABLE later"
subscriber -c "ALTER SUBSCRIPTION read REFRESH PUBLICATION"
wait_for 2 has later
echo "ok REFRESH PUBLICATION"

# What a subscriber applies comes from no client.
subscriber -c "INSERT INTO events VALUES (3000, 'its own')"
psql -X -q -c "INSERT INTO events VALUES (3000, 'new')" -c "INSERT INTO events VALUES (3001, 'new')"
# Since 18 in other words.
refused() { ! grep -q 'duplicate key .*"events_pkey"\|conflict=insert_exists' "$SUBSCRIBER_LOG" || echo yes; }
wait_for yes refused
equal "a row that the subscriber has stops it" "$(has events)" 1003
subscriber -c "DELETE FROM events WHERE id = 3000"
wait_for 1004 has events
echo "ok it goes on when that is deleted"

subscriber -c "SET client_min_messages = warning" -c "DROP SUBSCRIPTION read"
equal "DROP SUBSCRIPTION, and its slot" "$(publisher -c "SELECT count(*) FROM pg_replication_slots")" 0
