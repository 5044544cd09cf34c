// Knex: what insert makes of a duplicate, with `returning` and without, in transactions, nested ones
// and batches; its own onConflict; and a migration.

"use strict";

const { customers, equal, installed, invoices, keys, proxy, run, stored } = require("./orm.js");

const db = installed("knex")({ client: "pg", connection: proxy });
const add = (on, email, name) => on("customers").insert({ email, name }, ["id", "name"]);

/** The error of a duplicate that is shown. */
async function notUnique(name, call) {
  const result = await call().catch((error) => error);
  equal(name, result.code ?? result, "23505");
}

async function insert() {
  const [first] = await add(db, "a", "first");
  const [again] = await add(db, "a", "second");
  equal("returning: the row that is there", again, { id: first.id, name: "first" });
  const result = await db("regions").insert({ code: "de", name: "first" });
  const counts = [result.rowCount, (await db("regions").insert({ code: "de", name: "x" })).rowCount];
  equal("rowCount, as the rule has it", counts, [1, 1]);
  const rows = [..."dbae"].map((email) => ({ email, name: "bulk" }));
  const ids = (await db("customers").insert(rows, "id")).map(({ id }) => id);
  equal("several: keys", ids, await keys("dbae"));
  equal("several: stored", await customers(), { a: "first", b: "bulk", d: "bulk", e: "bulk" });
  const many = Array.from({ length: 100 }, (_, n) => ({ email: `${n % 60}@`, name: "many" }));
  // Two rows of one statement with one key: no ON CONFLICT can give one row for each.
  await notUnique("a key twice", () => db("customers").insert(many, "id"));
  const pieces = (await db.batchInsert("customers", many, 50).returning("id")).map(({ id }) => id);
  equal("batchInsert: keys", pieces, await keys(many.map(({ email }) => email)));
}

/** The ON CONFLICT of its own. */
async function onConflict() {
  await add(db, "a", "first");
  const upsert = db("customers").insert({ email: "a", name: "merged" }).onConflict("email").merge();
  equal("merge", (await upsert).rowCount, 1);
  const ignored = db("customers").insert({ email: "a", name: "x" }).onConflict("email").ignore();
  equal("ignore", (await ignored).rowCount, 0);
  equal("onConflict: stored", await customers(), { a: "merged" });
}

async function transactions() {
  await db.transaction(async (trx) => {
    const [first] = await add(trx, "a", "first");
    const [again] = await add(trx, "a", "second");
    equal("transaction: key", again.id, first.id);
    await trx("invoices").insert({ number: "1", customer_id: again.id });
    const fails = trx.transaction(async (inner) => {
      await add(inner, "b", "undone");
      await add(inner, "a", "undone");
      await inner("invoices").insert({ number: "1", customer_id: again.id });
    });
    await notUnique("savepoint: unlisted", () => fails);
    await add(trx, "c", "behind");
  });
  equal("transaction: stored", await customers(), { a: "first", c: "behind" });
  equal("transaction: the key in a foreign key", await stored(invoices), [["1", "a"]]);
}

/** A migration is a transaction; its own tables have keys that no rule lists. */
async function migrations() {
  const migration = {
    up: async (trx) => {
      await trx.schema.createTable("prices", (table) => {
        table.increments();
        table.text("sku");
      });
      await trx("prices").insert([{ sku: "a" }, { sku: "a" }]);
    },
    down: (trx) => trx.schema.dropTable("prices"),
  };
  const unique = {
    up: (trx) => trx.schema.alterTable("prices", (table) => table.unique("sku")),
    down: (trx) => trx.schema.alterTable("prices", (table) => table.dropUnique("sku")),
  };
  const source = (all) => ({
    getMigrations: async () => Object.keys(all),
    getMigrationName: (name) => name,
    getMigration: async (name) => all[name],
  });
  const at = (all) => ({ migrationSource: source(all), disableTransactions: false });
  equal("migrate", (await db.migrate.latest(at({ 1: migration })))[1], ["1"]);
  const both = at({ 1: migration, 2: unique });
  await notUnique("migrate: a key over duplicates", () => db.migrate.latest(both));
  equal("migrate: undone", (await stored("SELECT name FROM knex_migrations")).flat(), ["1"]);
  await db.migrate.rollback(at({ 1: migration }));
  equal("rollback", await stored("SELECT to_regclass('prices')"), [[null]]);
}

run([insert, onConflict, transactions, migrations], () => db.destroy());
