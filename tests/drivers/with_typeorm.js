// TypeORM: what save, insert, upsert and orIgnore make of a duplicate, in autocommit (save is a
// transaction of its own) and in transactions.

"use strict";

const { customers, equal, installed, invoices, keys, proxy, run, stored } = require("./orm.js");
const { DataSource, EntitySchema, QueryFailedError } = installed("typeorm");

const text = { type: "text" };
const id = { type: "int", primary: true, generated: "identity" };
const Customer = new EntitySchema({
  name: "Customer",
  tableName: "customers",
  columns: { id, email: { ...text, unique: true }, name: text },
});
const Country = new EntitySchema({
  name: "Country",
  tableName: "countries",
  columns: { code: { ...text, primary: true }, name: text },
});
// Of its keys no rule speaks.
const Invoice = new EntitySchema({
  name: "Invoice",
  tableName: "invoices",
  columns: { id, number: { ...text, unique: true } },
  relations: {
    customer: { type: "many-to-one", target: "Customer", joinColumn: { name: "customer_id" } },
  },
});

const { user: username, ...at } = proxy;
const db = new DataSource({ type: "postgres", username, entities: [Customer, Country, Invoice], ...at });
const add = (on, email, name) => on.getRepository(Customer).save({ email, name });

/** The error of a duplicate that is shown. */
async function notUnique(name, call) {
  const result = await call().catch((error) => error);
  equal(name, result instanceof QueryFailedError ? result.driverError.code : result, "23505");
}

async function save() {
  await db.initialize();
  const first = await add(db, "a", "first");
  const again = await add(db, "a", "second");
  equal("save: the existing key", [again.id, again.id], [first.id, ...(await keys("a"))]);
  equal("save: what it was given", again.name, "second");
  equal("the first row stays", await customers(), { a: "first" });
  await db.getRepository(Customer).save({ ...again, name: "changed" });
  equal("save again: it is that row", await customers(), { a: "changed" });
  const rows = [..."dae"].map((email) => ({ email, name: "all" }));
  const several = await db.getRepository(Customer).save(rows);
  equal("save of several: keys", several.map((one) => one.id), await keys("dae"));
  // With a key of its own it looks for the row first.
  await db.getRepository(Country).save({ code: "de", name: "first" });
  await db.getRepository(Country).save({ code: "de", name: "second" });
  equal("natural key, save is an UPDATE", await stored("SELECT * FROM countries"), [["de", "second"]]);
}

async function insert() {
  const repository = db.getRepository(Customer);
  const inserted = async (values) => (await repository.insert(values)).identifiers.map((it) => it.id);
  const [first] = await inserted({ email: "a", name: "first" });
  equal("insert: the existing key", await inserted({ email: "a", name: "second" }), [first]);
  const several = await inserted([..."bac"].map((email) => ({ email, name: "all" })));
  equal("insert of several: keys", several, await keys("bac"));
  const twice = () => repository.insert([..."dd"].map((email) => ({ email, name: "twice" })));
  await notUnique("insert: a key twice", twice);
  await db.getRepository(Country).insert({ code: "de", name: "first" });
  await db.getRepository(Country).insert({ code: "de", name: "second" });
  equal("natural key, insert", await stored("SELECT * FROM countries"), [["de", "first"]]);
  await repository.upsert({ email: "a", name: "upsert" }, ["email"]);
  await repository.createQueryBuilder().insert().values({ email: "a", name: "x" }).orIgnore().execute();
  equal("upsert, orIgnore", await customers(), { a: "upsert", b: "all", c: "all" });
}

async function transactions() {
  await db.transaction(async (outer) => {
    const first = await add(outer, "a", "first");
    const again = await add(outer, "a", "second");
    equal("transaction: key", again.id, first.id);
    await outer.getRepository(Invoice).save({ number: "1", customer: again });
    const fails = outer.transaction(async (inner) => {
      await add(inner, "b", "undone");
      await add(inner, "a", "undone");
      await inner.getRepository(Invoice).save({ number: "1", customer: again });
    });
    await notUnique("savepoint: unlisted", () => fails);
    await add(outer, "c", "behind");
  });
  equal("transaction: stored", await customers(), { a: "first", c: "behind" });
  equal("transaction: the key in a foreign key", await stored(invoices), [["1", "a"]]);
  const [customer] = await keys("a");
  const values = { id: customer, email: "x", name: "x" };
  await notUnique("unlisted key", () => db.getRepository(Customer).insert(values));
}

run([save, insert, transactions], () => db.destroy());
