#!/usr/bin/env bash
# pg_dumpall: a whole server goes out through the proxy as it does past it, comes in again, and where its
# rows are there already, they are absorbed. The server is the script's own.
set -euo pipefail
# shellcheck source=checks.sh
. "$(dirname "$0")/checks.sh"
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

sql() { direct psql -X -q -At -v ON_ERROR_STOP=1 "$@"; }

# Newer versions have a key of their own by chance in each.
plain() { sed '/^\\\(un\)\?restrict /d'; }
# Where the rows have gone and come back, their order is another.
lines() { direct pg_dumpall | plain | sort; }

sql -d postgres -c "CREATE ROLE clerk LOGIN PASSWORD 'secret'" -c "CREATE ROLE staff" -c "GRANT staff TO clerk" \
    -c "ALTER ROLE clerk SET work_mem = '8MB'"
for database in shop 'Odd "name"'; do
    sql -d postgres -v name="$database" <<<'CREATE DATABASE :"name" OWNER clerk'
    sql -d "$database" <<'SQL'
CREATE TABLE orders (id int PRIMARY KEY, note text);
ALTER TABLE orders OWNER TO clerk;
GRANT SELECT ON orders TO staff;
INSERT INTO orders SELECT n, E'O''Neill \\ \t;\n-- ' || n FROM generate_series(1, 300) n;
SQL
done
direct pg_dumpall | plain >all
lines >sorted

tool pg_dumpall

pg_dumpall | plain >through
same "plain" through all
pg_dumpall --inserts | plain >through
direct pg_dumpall --inserts | plain >past
same "--inserts" through past
pg_dumpall --globals-only | plain >through
direct pg_dumpall --globals-only | plain >past
same "--globals-only" through past

# Into the server that it is of. The user that restores, and the database that it is in, stay.
pg_dumpall --clean --if-exists >clean
restored() {
    sql -d shop -c "DELETE FROM orders" -c "CREATE TABLE another (id int)"
    "$@" psql -X -q -d postgres -o made -f clean 2>&1 | sed 's/^psql:[^ ]* //'
    lines >got
    cmp got sorted
}
restored env >through || { cat through; exit 1; }
restored direct >past
same "--clean into psql" through past

# Rows that are there already, and one in three that is not. Databases that are there are named, and that is
# all.
replay() { psql -X -q -d postgres -o made -f rows 2>&1 | sed 's/^psql:[^ ]* //' | sort; }
printf 'ERROR:  database "%s" already exists\n' 'Odd "name"' shop | sort >named
for rows in --inserts --rows-per-insert=100; do
    pg_dumpall -a $rows >rows
    for database in shop 'Odd "name"'; do sql -d "$database" -c "DELETE FROM orders WHERE id % 3 = 0"; done
    direct replay >past
    grep -q 'duplicate key' past
    for database in shop 'Odd "name"'; do sql -d "$database" -c "DELETE FROM orders WHERE id % 3 = 0"; done
    replay >through
    cmp through named
    lines >got
    same "$rows again" got sorted
done
