# ActiveRecord: what it makes of duplicates, in the words of told.py, which see.

require "active_record"
require "pg"
require_relative "activerecord_models"

$stdout.sync = true

# What the server itself holds, past the proxy.
def stored(database, sql)
  db = PG.connect(host: ENV["SERVER_HOST"], port: ENV["SERVER_PORT"], dbname: database)
  db.exec(sql).values
ensure
  db&.close
end

# Whose keys the objects have: one for each of these, in their order, or fewer.
def whose(database, emails, objects)
  ids = stored(database, "SELECT email, id FROM customers").to_h { |email, id| [email, id.to_i] }
  each = objects.each_with_index.map do |one, place|
    email = objects.size == emails.size ? emails[place] : one.email
    if one.id.nil? then "**no key**"
    elsif one.id == ids[email] then "the row's key"
    else ids.value?(one.id) ? "**keys of other rows**" : "**a key of no row**"
    end
  end
  worst = ["**keys of other rows**", "**a key of no row**", "**no key**"]
  bad = worst.find { |it| each.include?(it) }
  bad || (each.size < emails.size ? "fewer objects" : "the row's key")
end

# Says what came of a call: the error, or what the other finds.
def outcome(call, look)
  result = call.call
rescue StandardError => error
  warn error.full_message
  error.cause.is_a?(PG::UniqueViolation) ? "23505" : "`#{error.class}`"
else
  look.call(result)
end

def tell(database)
  say = ->(what, text) { puts "#{database} #{what}: #{text}" }
  stored database, "TRUNCATE customers, countries, invoices;
                    INSERT INTO countries VALUES ('de', 'first');
                    INSERT INTO customers (email, name) VALUES ('a', 'first'), ('b', 'first')"
  one = nil
  say["one", outcome(-> { one = Customer.create!(email: "a", name: "second") },
                     ->(made) { whose(database, "a", [made]) })]
  changed = lambda do |_|
    names = stored(database, "SELECT name FROM customers WHERE email = 'a'")
    names == [["changed"]] ? "changes the row" : "**no row, and no error**"
  end
  say["update", one ? outcome(-> { one.update!(name: "changed") }, changed) : ""]
  # `create!` of several is one INSERT for each; `insert_all!` gives no objects, but rows.
  rows = %w[d b e a f].map { |email| { email: email, name: "several" } }
  several = outcome(-> { Customer.insert_all!(rows, returning: %w[id email]) },
                    ->(made) { whose(database, "dbeaf", made.map { |row| Customer.new(row) }) })
  there = stored(database, "SELECT count(*) FROM customers WHERE email IN ('d', 'e', 'f')")[0][0]
  several += ", and #{there} of 3 new rows are stored" if several.start_with?("`") && there != "0"
  say["several", several]
  say["own", outcome(-> { Customer.create!(id: 1000, email: "a", name: "own") },
                     ->(made) { whose(database, "a", [made]) })]
  say["natural", outcome(-> { Country.create!(code: "de", name: "second") }, ->(_) { "success" })]
end

puts "orm #{ActiveRecord::VERSION::STRING}"
ENV["TOLD"].split.each do |database|
  ActiveRecord::Base.establish_connection(
    adapter: "postgresql", host: ENV["PGHOST"], port: ENV["PGPORT"], username: ENV["PGUSER"],
    database: database
  )
  tell database
  ActiveRecord::Base.connection_pool.disconnect!
end
