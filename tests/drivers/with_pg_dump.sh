#!/usr/bin/env bash
# pg_dump, pg_restore and psql: a database goes out and in through the proxy as it does past it, and
# a dump of INSERTs whose rows are there already is absorbed, while COPY shows its error.
set -euo pipefail
# shellcheck source=checks.sh
. "$(dirname "$0")/checks.sh"
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

source=$PGDATABASE copy=${PGDATABASE}_copy
sql() { direct psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

# Newer versions have a key of their own by chance in each.
plain() { sed '/^\\\(un\)\?restrict /d'; }
# What a database holds, in words.
all_of() { direct pg_dump "$1" | plain; }
# The same whatever the order of the rows, which have gone and come back.
lines_of() { all_of "$1" | sort; }
# A database anew, and with all of the source, past the proxy.
empty() {
    sql -d postgres -c "SET client_min_messages = error" -c "DROP DATABASE IF EXISTS $copy" \
        -c "CREATE DATABASE $copy"
}
full() { empty && direct pg_dump "$source" | sql -d "$copy" -o "$scratch/made"; }

sql <<'SQL'
CREATE TABLE customers (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, email text NOT NULL UNIQUE, name text
);
CREATE TABLE orders (
    id serial PRIMARY KEY, customer_id int NOT NULL REFERENCES customers, data bytea, at timestamptz
);
CREATE TABLE "Odd ""names""" ("a column" text, "select" numeric, PRIMARY KEY ("a column", "select"));
CREATE TABLE events (id bigint PRIMARY KEY, kind text, tags text[]) PARTITION BY HASH (id);
CREATE TABLE events_0 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE events_1 PARTITION OF events FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE VIEW latest AS SELECT * FROM orders ORDER BY at DESC LIMIT 10;
CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER noted BEFORE INSERT ON orders FOR EACH ROW EXECUTE PROCEDURE noted();
INSERT INTO customers (email, name)
SELECT n || '@example.com', CASE WHEN n % 7 > 0 THEN E'O''Neill \\ \t;\n-- ' || n END
FROM generate_series(1, 400) n;
INSERT INTO orders (customer_id, data, at)
SELECT n, decode(md5(n::text), 'hex'), '2026-01-01Z'::timestamptz + n * '1 min'::interval
FROM generate_series(1, 400) n;
INSERT INTO "Odd ""names""" SELECT U&'\20AC $$; INSERT', n FROM generate_series(1, 20) n;
INSERT INTO events SELECT n, NULL, ARRAY['a"b', NULL, '{'] FROM generate_series(1, 400) n;
\o made
SELECT lo_from_bytea(4711, 'a large object');
SQL
all_of "$source" >all
lines_of "$source" >lines

tool pg_dump

pg_dump | plain >plain
same "plain" plain all
pg_dump --inserts | plain >through
direct pg_dump --inserts | plain >past
same "--inserts" through past
# These hold the time of day, and so are not the same twice.
pg_dump -Fc -f custom
pg_dump -Fd -j 4 -f directory
pg_restore -f - custom | plain >of_custom
same "-Fc" of_custom all
pg_restore -f - directory | plain >of_directory
same "-Fd -j" of_directory all

empty
pg_dump | psql -X -q -v ON_ERROR_STOP=1 -d "$copy" -o made
all_of "$copy" >got
same "into psql" got all

# Rows that are there already, and one in three that is not.
third="DELETE FROM orders WHERE id % 3 = 0; DELETE FROM events WHERE id % 3 = 0;
    DELETE FROM \"Odd \"\"names\"\"\" WHERE \"select\" % 3 = 0"
# How many statements were answered, the rows of all, and the errors.
replay() {
    psql -X -v ON_ERROR_STOP=1 -d "$copy" 2>&1 |
        awk '/^INSERT/ { told++; rows += $3 } /^ERROR/ { failed++ }
            END { print told + 0, rows + 0, failed + 0 }'
}
for rows in --inserts --column-inserts --rows-per-insert=100; do
    pg_dump -a --no-blobs $rows >rows.sql
    sql -d "$copy" -c "$third"
    [[ $(direct replay <rows.sql) == "0 0 1" ]] || equal "$rows, past the proxy" "no error" "an error"
    told=$(replay <rows.sql)
    lines_of "$copy" >got
    cmp got lines
    # 400 customers, and of 820 other rows one in three.
    equal "$rows again" "$told" "$(grep -c '^INSERT' rows.sql) 272 0"
done

tool pg_restore

empty
pg_restore -d "$copy" --exit-on-error custom
all_of "$copy" >got
same "-Fc" got all
empty
pg_restore -d "$copy" --exit-on-error --single-transaction custom
all_of "$copy" >got
same "--single-transaction" got all
empty
pg_restore -d "$copy" --exit-on-error -j 4 directory
all_of "$copy" >got
same "-j" got all

pg_dump -a --no-blobs --inserts -Fc -f inserts
for options in "" --single-transaction "-j 2"; do
    sql -d "$copy" -c "$third"
    # shellcheck disable=SC2086
    pg_restore -d "$copy" --exit-on-error $options inserts
    lines_of "$copy" >got
    cmp got lines
done
echo "ok --inserts again, with -j and --single-transaction too"

# COPY is not absorbed, and nothing of it is hidden.
sql -d "$copy" -c "$third"
all_of "$copy" >less
restored() { pg_restore -a -d "$copy" custom 2>&1 && echo "status 0" || echo "status $?"; }
restored >through
all_of "$copy" >got
cmp got less
[[ $(tail -n 1 through) == "status 1" && $(grep -c 'ERROR:  duplicate key' through) -eq 6 ]] ||
    equal "COPY again" "$(cat through)" "6 errors, status 1"
direct restored >past
same "COPY again: the errors are shown" through past

tool psql

copied() { psql -X -d "$copy" -c "$1" 2>&1 && echo "status 0" || echo "status $?"; }
full
for format in text csv binary; do
    psql -X -q -c "\\copy (SELECT * FROM customers ORDER BY id) TO '$format' (FORMAT $format)"
    direct psql -X -q -c "\\copy (SELECT * FROM customers ORDER BY id) TO 'past' (FORMAT $format)"
    cmp "$format" past
    sql -d "$copy" -c "TRUNCATE customers, orders"
    copy_in="\\copy customers FROM '$format' (FORMAT $format)"
    told=$(copied "$copy_in")
    [[ $told == $'COPY 400\nstatus 0' ]] || equal "$copy_in" "$told" "COPY 400"
    copied "$copy_in" >through
    [[ $(<through) == 'ERROR:  duplicate key'*'status 1' ]] || equal "$copy_in" "$(<through)" "an error"
    direct copied "$copy_in" >past
    cmp through past
    [[ $(sql -d "$copy" -c "SELECT count(*) FROM customers") == 400 ]]
done
echo "ok \\copy to and from, as text, csv and binary"
echo "ok \\copy again: the error is shown"
sql -d postgres -c "DROP DATABASE $copy"
