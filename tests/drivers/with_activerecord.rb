# ActiveRecord: what create, create!, save, find_or_create_by and insert! make of a duplicate, in
# autocommit (each save is a transaction of its own), in transactions and in savepoints. BEGIN goes
# out with the first statement that needs it; with prepared statements, and without.
#
# The tables, and where the server is: see checks.py and tests/it/drivers/orms.rs.

require "active_record"
require "pg"
require_relative "activerecord_models"

$stdout.sync = true

# Of its keys no rule speaks.
class Invoice < ActiveRecord::Base
  belongs_to :customer
end

def ok(name)
  puts "ok #{name}"
end

def equal(name, actual, expected)
  abort "not ok #{name}: #{actual.inspect}, expected #{expected.inspect}" if actual != expected
  ok name
end

# The error of a duplicate that is shown.
def not_unique(name)
  result = yield
rescue ActiveRecord::RecordNotUnique => error
  equal name, error.cause.class, PG::UniqueViolation
else
  abort "not ok #{name}: no error but #{result.inspect}"
end

# What the server itself holds, past the proxy.
def stored(sql)
  db = PG.connect(host: ENV["SERVER_HOST"], port: ENV["SERVER_PORT"])
  db.exec(sql).values
ensure
  db&.close
end

def customers
  stored("SELECT email, name FROM customers").to_h
end

def key(email)
  stored("SELECT id FROM customers WHERE email = '#{email}'")[0][0].to_i
end

def autocommit
  first = Customer.create!(email: "a", name: "first")
  again = Customer.create!(email: "a", name: "second")
  equal "create!: the existing key", [again.id, again.id], [first.id, key("a")]
  equal "create!: what it was given", again.name, "second"
  equal "create!: persisted", [again.persisted?, again.changed?], [true, false]
  equal "create!: until it is read", again.reload.name, "first"
  equal "create: the existing key", Customer.create(email: "a", name: "third").id, first.id
  saved = Customer.new(email: "a", name: "fourth")
  equal "save", [saved.save, saved.id], [true, first.id]
  equal "the first row stays", customers, { "a" => "first" }
  saved.update!(name: "changed")
  equal "update!: it is that row", customers, { "a" => "changed" }
  equal "insert!: the existing key",
        Customer.insert!({ email: "a", name: "fifth" }).rows, [[first.id]]
  several = %w[d a e].map { |email| { email: email, name: "all" } }
  equal "insert_all!: keys",
        Customer.insert_all!(several).rows.flatten, [key("d"), first.id, key("e")]
  equal "insert_all!: stored", customers, { "a" => "changed", "d" => "all", "e" => "all" }
end

def natural_key
  Country.create!(code: "de", name: "first")
  equal "natural key", Country.create!(code: "de", name: "second").id, "de"
  equal "natural key: stored", stored("SELECT * FROM countries"), [%w[de first]]
end

# What is looked for is not there, and the key is: as when another has just inserted it.
def find_or_create
  first = Customer.find_or_create_by!(email: "a") { |customer| customer.name = "first" }
  raced = Customer.find_or_create_by!(email: "a", name: "raced")
  equal "find_or_create_by!: raced", [raced.id, raced.name], [first.id, "raced"]
  made = Customer.create_or_find_by!(email: "a") { |customer| customer.name = "made" }
  equal "create_or_find_by!: never finds", [made.id, made.name], [first.id, "made"]
  equal "find_or_create_by!: stored", customers, { "a" => "first" }
end

def transactions
  again = nested = nil
  Customer.transaction do
    Customer.create!(email: "a", name: "first")
    again = Customer.create!(email: "a", name: "second")
    Invoice.create!(number: "1", customer: again)
    Customer.transaction(requires_new: true) do
      equal "requires_new: key", Customer.create!(email: "a", name: "nested").id, again.id
      nested = Customer.create!(email: "b", name: "nested")
    end
    Customer.transaction(requires_new: true) do
      Customer.create!(email: "c", name: "undone")
      Customer.create!(email: "b", name: "undone")
      raise ActiveRecord::Rollback
    end
    equal "behind a rollback: key", Customer.create!(email: "b", name: "behind").id, nested.id
    equal "nothing yet", customers, {}
  end
  equal "transaction: key", again.id, key("a")
  equal "transaction: stored", customers, { "a" => "first", "b" => "nested" }
  equal "transaction: the key in a foreign key",
        stored("SELECT number, email FROM invoices JOIN customers c ON customer_id = c.id"),
        [%w[1 a]]
end

def unlisted
  customer = Customer.create!(email: "a", name: "first")
  Invoice.create!(number: "1", customer: customer)
  not_unique("unlisted") { Invoice.create!(number: "1", customer: customer) }
  not_unique("unlisted key") { Customer.create!(id: customer.id, email: "b", name: "second") }
  Customer.transaction do
    Customer.create!(email: "b", name: "outer")
    not_unique("requires_new: unlisted") do
      Customer.transaction(requires_new: true) do
        Customer.create!(email: "c", name: "undone")
        Customer.create!(email: "a", name: "undone")
        Invoice.create!(number: "1", customer: customer)
      end
    end
    equal "behind it: key", Customer.create!(email: "a", name: "outer").id, customer.id
  end
  not_unique("transaction: unlisted") do
    Customer.transaction do
      Customer.create!(email: "d", name: "undone")
      Customer.create!(email: "a", name: "undone")
      Invoice.create!(number: "1", customer: customer)
    end
  end
  equal "unlisted: stored", customers, { "a" => "first", "b" => "outer" }
  equal "unlisted: invoices", stored("SELECT number FROM invoices"), [["1"]]
end

[true, false].each do |prepared|
  ActiveRecord::Base.establish_connection(
    adapter: "postgresql", host: ENV["PGHOST"], port: ENV["PGPORT"], username: ENV["PGUSER"],
    database: ENV["PGDATABASE"], prepared_statements: prepared
  )
  %i[autocommit natural_key find_or_create transactions unlisted].each do |part|
    stored("TRUNCATE customers, countries, invoices")
    send(part)
  end
  ActiveRecord::Base.connection_pool.disconnect!
  ok "prepared statements: #{prepared}"
end
