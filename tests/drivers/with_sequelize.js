// Sequelize: what create, save, bulkCreate and findOrCreate make of a duplicate, in autocommit and
// in transactions. It asks for every column of a new row (RETURNING "id","email","name"), so that
// an object has not only the key of the row that is there but its values too.
//
// The tables, and where the server is: see checks.py and tests/it/drivers/orms.rs.

"use strict";

const { createRequire } = require("node:module");
const { isDeepStrictEqual } = require("node:util");

// Where tests/run installs them.
const installed = createRequire(`${__dirname}/../../target/drivers-npm/package.json`);
const { DataTypes, Sequelize, UniqueConstraintError } = installed("sequelize");
const { Client } = installed("pg");

const { PGDATABASE, PGHOST, PGPORT, PGUSER, SERVER_HOST, SERVER_PORT } = process.env;
const db = new Sequelize(PGDATABASE, PGUSER, "", {
  dialect: "postgres",
  dialectModule: installed("pg"),
  host: PGHOST,
  port: PGPORT,
  logging: false,
  define: { timestamps: false, underscored: true },
});

const text = (more) => ({ type: DataTypes.TEXT, allowNull: false, ...more });
const Customer = db.define("Customer", { email: text(), name: text() }, { tableName: "customers" });
const Country = db.define(
  "Country",
  { code: text({ primaryKey: true }), name: text() },
  { tableName: "countries" },
);
// Of its keys no rule speaks.
const Invoice = db.define("Invoice", { number: text() }, { tableName: "invoices" });
Invoice.belongsTo(Customer, { as: "customer", foreignKey: "customerId" });

function ok(name) {
  console.log(`ok ${name}`);
}

function equal(name, actual, expected) {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(
      `not ok ${name}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`,
    );
  }
  ok(name);
}

/** The error of a duplicate that is shown. */
async function notUnique(name, call) {
  const result = await call().catch((error) => error);
  const shown = result instanceof UniqueConstraintError ? result.parent.code : result;
  equal(name, shown, "23505");
}

/** What the server itself holds, past the proxy. */
async function stored(sql) {
  const server = new Client({
    host: SERVER_HOST,
    port: Number(SERVER_PORT),
    user: PGUSER,
    database: PGDATABASE,
  });
  await server.connect();
  const { rows } = await server.query({ text: sql, rowMode: "array" });
  await server.end();
  return rows;
}

async function customers() {
  return Object.fromEntries(await stored("SELECT email, name FROM customers"));
}

async function keys(emails) {
  const there = Object.fromEntries(await stored("SELECT email, id FROM customers"));
  return [...emails].map((email) => there[email]);
}

const invoices = "SELECT number, email FROM invoices JOIN customers c ON customer_id = c.id";

async function create() {
  const first = await Customer.create({ email: "a", name: "first" });
  const again = await Customer.create({ email: "a", name: "second" });
  equal("create: the existing key", [again.id, again.id], [first.id, ...(await keys("a"))]);
  equal("create: what the row has", again.name, "first");
  const saved = await Customer.build({ email: "a", name: "third" }).save();
  equal("save: the existing key", [saved.id, saved.name], [first.id, "first"]);
  equal("the first row stays", await customers(), { a: "first" });
  await saved.update({ name: "changed" });
  equal("update: it is that row", await customers(), { a: "changed" });
}

async function naturalKey() {
  await Country.create({ code: "de", name: "first" });
  const again = await Country.create({ code: "de", name: "second" });
  equal("natural key", [again.code, again.name], ["de", "first"]);
  const made = ["at", "de", "ch"].map((code) => ({ code, name: "bulk" }));
  await Country.bulkCreate(made);
  const rows = [["at", "bulk"], ["ch", "bulk"], ["de", "first"]];
  equal("natural key: stored", await stored("SELECT * FROM countries ORDER BY code"), rows);
}

async function bulkCreate() {
  for (const email of "ab") await Customer.create({ email, name: "first" });
  const rows = (emails) => [...emails].map((email) => ({ email, name: "bulk" }));
  for (const [emails, options] of [["cbda", {}], ["eafb", { returning: true }]]) {
    const made = await Customer.bulkCreate(rows(emails), options);
    const got = made.map((one) => one.id);
    equal("bulkCreate: keys", got, await keys(emails));
    equal("bulkCreate: what it was given", made.map((one) => one.email).join(""), emails);
  }
  const names = { a: "first", b: "first", c: "bulk", d: "bulk", e: "bulk", f: "bulk" };
  equal("bulkCreate: stored", await customers(), names);
  // Two rows of one statement with one key: no ON CONFLICT can give one row for each.
  await notUnique("bulkCreate: a key twice", () => Customer.bulkCreate(rows("gg")));
  equal("bulkCreate: nothing of it", await customers(), names);
}

/** It catches the error in a function that it makes on the server: the proxy has no part in it. */
async function findOrCreate() {
  const find = (name) => Customer.findOrCreate({ where: { email: "a" }, defaults: { name } });
  const [first, created] = await find("first");
  const [again, createdAgain] = await find("second");
  equal("findOrCreate: created", [created, createdAgain], [true, false]);
  equal("findOrCreate: key", [first.id, again.id], await keys("aa"));
  const raced = () => Customer.findOrCreate({ where: { email: "a", name: "raced" } });
  await notUnique("findOrCreate: raced", raced);
  equal("findOrCreate: stored", await customers(), { a: "first" });
}

async function transactions() {
  const [again, nested, made] = await db.transaction(async (transaction) => {
    const options = { transaction };
    await Customer.create({ email: "a", name: "first" }, options);
    const again = await Customer.create({ email: "a", name: "second" }, options);
    await Invoice.create({ number: "1", customerId: again.id }, options);
    const rows = ["b", "a", "c"].map((email) => ({ email, name: "bulk" }));
    const made = await Customer.bulkCreate(rows, options);
    const nested = await db.transaction(options, async (inner) => {
      await Customer.create({ email: "d", name: "nested" }, { transaction: inner });
      return Customer.create({ email: "a", name: "nested" }, { transaction: inner });
    });
    equal("transaction: nothing yet", await customers(), {});
    return [again, nested, made];
  });
  equal("transaction: keys", [again.id, nested.id], await keys("aa"));
  equal("transaction: keys of bulkCreate", made.map((one) => one.id), await keys("bac"));
  const names = { a: "first", b: "bulk", c: "bulk", d: "nested" };
  equal("transaction: stored", await customers(), names);
  equal("transaction: the key in a foreign key", await stored(invoices), [["1", "a"]]);
}

async function unlisted() {
  const customer = await Customer.create({ email: "a", name: "first" });
  const invoice = (options) => Invoice.create({ number: "1", customerId: customer.id }, options);
  await invoice();
  await notUnique("unlisted", () => invoice());
  const id = customer.id;
  await notUnique("unlisted key", () => Customer.create({ id, email: "b", name: "second" }));
  const fails = async (transaction) => {
    await Customer.create({ email: "c", name: "undone" }, { transaction });
    await Customer.create({ email: "a", name: "undone" }, { transaction });
    await invoice({ transaction });
  };
  await db.transaction(async (transaction) => {
    await Customer.create({ email: "b", name: "outer" }, { transaction });
    await notUnique("savepoint: unlisted", () => db.transaction({ transaction }, fails));
    const again = await Customer.create({ email: "a", name: "outer" }, { transaction });
    equal("behind it: key", again.id, customer.id);
  });
  await notUnique("transaction: unlisted", () => db.transaction(fails));
  equal("unlisted: stored", await customers(), { a: "first", b: "outer" });
  equal("unlisted: invoices", await stored(invoices), [["1", "a"]]);
}

async function main() {
  for (const part of [create, naturalKey, bulkCreate, findOrCreate, transactions, unlisted]) {
    await stored("TRUNCATE customers, countries, invoices");
    await part();
  }
  await db.close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
