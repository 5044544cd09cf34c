# ruby-pg: libpq from Ruby, with its pipeline mode. The list and the tables: see README.md.

require "pg"

BIG = "v" * (5 << 20)
ASLEEP = "SELECT count(*)::int FROM pg_stat_activity " \
         "WHERE wait_event = 'PgSleep' AND datname = current_database()"

def ok(name)
  puts "ok #{name}"
  $stdout.flush
end

def same(name, actual, expected)
  return if actual == expected

  abort "not ok #{name}: #{actual.inspect[0, 300]}, expected #{expected.inspect[0, 300]}"
end

def equal(name, actual, expected)
  same(name, actual, expected)
  ok(name)
end

def fails(name, error)
  result = yield
rescue error => e
  e
else
  abort "not ok #{name}: no error but #{result.inspect}"
end

# The rest is in the environment.
def connect(options = {})
  db = PG.connect(options)
  db.type_map_for_results = PG::BasicTypeMapForResults.new(db)
  db
end

def insert(db, id, kind = "x")
  db.exec_params("INSERT INTO events VALUES ($1, $2)", [id, kind]).cmd_tuples
end

def inserts(db, *ids)
  ids.map { |id| insert(db, id) }
end

def returned(db, id)
  db.exec_params("INSERT INTO events VALUES ($1, 'x') RETURNING id", [id]).column_values(0)
end

# All of them in a pipeline with one Sync; how many rows each stored.
def pipeline(db, table, ids)
  db.enter_pipeline_mode
  ids.each { |id| db.send_query_params("INSERT INTO #{table} VALUES ($1, 'x')", [id]) }
  db.pipeline_sync
  counts = []
  while (result = db.get_result).nil? || result.result_status != PG::PGRES_PIPELINE_SYNC
    next unless result

    result.check
    counts << result.cmd_tuples
  end
  counts
ensure
  db.get_result until db.pipeline_status == PG::PQ_PIPELINE_OFF || leave(db)
end

def leave(db)
  db.exit_pipeline_mode
  true
rescue PG::Error
  false
end

puts "driver #{PG::VERSION}, libpq #{PG.library_version.divmod(10_000).join('.')}"
%w[trust password md5 scram].each do |user|
  db = connect(user: user, password: "secret")
  name = "login, #{user == 'scram' ? 'scram-sha-256' : user}"
  equal(name, db.exec("SELECT current_user::text").getvalue(0, 0), user)
  db.close
end

db = connect
equal("simple insert", db.exec("INSERT INTO events VALUES (1, 'x')").cmd_tuples, 1)
db.prepare("insert", "INSERT INTO events VALUES ($1, $2)")
prepared = ->(id, kind) { db.exec_prepared("insert", [id, kind]).cmd_tuples }
equal("prepared insert", [prepared.(2, "x"), prepared.(3, "x")], [1, 1])
counts = [db.exec("INSERT INTO events VALUES (1, 'again')").cmd_tuples, prepared.(2, "again")]
equal("duplicate in autocommit", counts, [0, 0])
counts = db.transaction { inserts(db, 1, 10, 10, 2, 11) }
equal("duplicate in a transaction", counts, [0, 1, 0, 0, 1])
rows = [20, 20].map { |id| returned(db, id) }
rows += db.transaction { [21, 21, 1].map { |id| returned(db, id) } }
equal("duplicate with RETURNING", rows, [[20], [], [21], [], []])
several = "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')"
equal("duplicate among several rows", db.exec_params(several, [1]).cmd_tuples, 2)
counts = db.transaction { pipeline(db, "events", [1, *100..299, 2, 100]) }
equal("batch in a transaction", counts, [0] + [1] * 200 + [0, 0])
db.exec("INSERT INTO loads VALUES (5, 'x')")
counts = pipeline(db, "loads", [*1..200, 5])
equal("batch in autocommit", counts, [1] * 4 + [0] + [1] * 195 + [0])

db.exec("INSERT INTO other VALUES (1)")
lines = (2..9999).map { |number| "#{number}\n" }
db.copy_data("COPY other FROM STDIN") { lines.each { |line| db.put_copy_data(line) } }
copied = []
db.copy_data("COPY (SELECT id FROM other ORDER BY id) TO STDOUT") do
  while (line = db.get_copy_data)
    copied << line
  end
end
equal("COPY", copied, ["1\n", *lines])

# It has no cursors but those of SQL.
read = []
counts = db.transaction do
  db.exec("DECLARE reader CURSOR FOR SELECT generate_series(1, 100)")
  found = []
  until (rows = db.exec("FETCH 10 FROM reader").column_values(0)).empty?
    read += rows
    rows.each { |number| found += inserts(db, 1, 400 + number) if (number % 15).zero? }
  end
  found
end
equal("cursor", [read, counts], [[*1..100], [0, 1] * 6])

db.exec("LISTEN ears")
db.exec("NOTIFY ears, 'hello'")
heard = nil
db.wait_for_notify(30) { |_channel, _pid, payload| heard = payload }
equal("LISTEN", heard, "hello")

watcher = connect
db.send_query("SELECT pg_sleep(60)")
sleep 0.005 until watcher.exec(ASLEEP).getvalue(0, 0) == 1
same("cancel", db.cancel, nil)
fails("cancel", PG::QueryCanceled) { db.get_last_result }
equal("cancel", db.exec("SELECT 1").getvalue(0, 0), 1)

same("large value", [insert(db, 50, BIG), insert(db, 50, "again")], [1, 0])
equal("large value", db.exec("SELECT kind FROM events WHERE id = 50").getvalue(0, 0) == BIG, true)

unlisted = -> { db.exec("INSERT INTO other VALUES (1)") }
error = fails("error shown", PG::UniqueViolation, &unlisted)
same("error shown", error.result.error_field(PG::PG_DIAG_CONSTRAINT_NAME), "other_pkey")
db.exec("BEGIN")
same("error shown", insert(db, 60), 1)
fails("error shown", PG::UniqueViolation, &unlisted)
fails("error shown", PG::InFailedSqlTransaction) { insert(db, 61) }
db.exec("ROLLBACK")
ok("error shown")

puts "restart"
$stdout.flush
$stdin.gets
fails("reconnect", PG::Error) { db.exec("SELECT 1") }
db.reset
equal("reconnect", inserts(db, 1, 70), [0, 1])

# What is its own.

db.exec("TRUNCATE events, loads, other")
db.exec("INSERT INTO events VALUES (1, 'x')")
# A pipeline outside BEGIN is one transaction, whose other statements are undone.
fails("pipeline", PG::UniqueViolation) { pipeline(db, "events", [2, 1, 3]) }
equal("nothing of a pipeline stored", db.exec("SELECT id FROM events").column_values(0), [1])
counts = db.transaction do
  db.exec("SAVEPOINT own")
  found = pipeline(db, "events", [1, 2, 2])
  db.exec("ROLLBACK TO own")
  found + inserts(db, 1, 2, 2)
end
equal("savepoints", counts, [0, 1, 0, 0, 1, 0])
# One row at a time.
db.send_query("INSERT INTO events VALUES (3, 'x'), (1, 'x'), (4, 'x') RETURNING id")
db.set_single_row_mode
read = db.get_result.stream_each.map { |row| row["id"] }
equal("single row mode", read, [3, 4])
