// Prisma: what create, createMany, upsert and connectOrCreate make of a duplicate, in autocommit and
// in both of its kinds of transaction. See prisma.js.

"use strict";

const { customers, equal, invoices, keys, proxy, run, stored } = require("./orm.js");
const { Prisma, connect } = require("./prisma.js");

const db = connect(proxy);
const add = (on, email, name) => on.customer.create({ data: { email, name } });

/** The error of a duplicate that is shown: P2002 is its 23505. */
async function notUnique(name, call) {
  const result = await call().catch((error) => error);
  const known = result instanceof Prisma.PrismaClientKnownRequestError;
  equal(name, known ? result.code : result, "P2002");
}

async function create() {
  const first = await add(db, "a", "first");
  const again = await add(db, "a", "second");
  equal("create: the row that is there", again, { id: first.id, email: "a", name: "first" });
  await db.country.create({ data: { code: "de", name: "first" } });
  const country = await db.country.create({ data: { code: "de", name: "second" } });
  equal("natural key", country, { code: "de", name: "first" });
  const data = [..."dbae"].map((email) => ({ email, name: "bulk" }));
  const made = await db.customer.createManyAndReturn({ data });
  equal("createManyAndReturn", made.map(({ id }) => id), await keys("dbae"));
  const more = { data: [...data, { email: "f", name: "bulk" }] };
  equal("createMany: counts what is stored", await db.customer.createMany(more), { count: 1 });
  const skipped = await db.customer.createMany({ ...more, skipDuplicates: true });
  equal("skipDuplicates", skipped, { count: 0 });
  const twice = { data: [..."gg"].map((email) => ({ email, name: "twice" })) };
  await notUnique("a key twice", () => db.customer.createManyAndReturn(twice));
  const names = { a: "first", b: "bulk", d: "bulk", e: "bulk", f: "bulk" };
  equal("stored", await customers(), names);
}

async function upsert() {
  const put = (name) => {
    const values = { email: "a", name };
    return db.customer.upsert({ where: { email: "a" }, create: values, update: { name } });
  };
  const [first, again] = [await put("first"), await put("second")];
  equal("upsert", [again.id, again.name], [first.id, "second"]);
  const invoice = (number) => {
    const customer = { connectOrCreate: { where: { email: "a" }, create: { email: "a", name: "x" } } };
    return db.invoice.create({ data: { number, customer } });
  };
  equal("connectOrCreate", (await invoice("1")).customerId, first.id);
  // The customer is there: what is created with it refers to that row.
  const nested = { number: "2", customer: { create: { email: "a", name: "nested" } } };
  equal("nested create", (await db.invoice.create({ data: nested })).customerId, first.id);
  const undone = { number: "2", customer: { create: { email: "b", name: "undone" } } };
  await notUnique("nested create: unlisted", () => db.invoice.create({ data: undone }));
  equal("upsert: stored", await customers(), { a: "second" });
}

async function transactions() {
  await db.$transaction(async (outer) => {
    const first = await add(outer, "a", "first");
    const again = await add(outer, "a", "second");
    equal("transaction: key", again.id, first.id);
    await outer.invoice.create({ data: { number: "1", customerId: again.id } });
  });
  const many = ["b", "a", "c"].map((email) => add(db, email, "array"));
  const made = (await db.$transaction(many)).map(({ id }) => id);
  equal("transaction of many: keys", made, await keys("bac"));
  const fails = [add(db, "d", "undone"), db.invoice.create({ data: { number: "1", customerId: 1 } })];
  await notUnique("transaction: unlisted", () => db.$transaction(fails));
  equal("transaction: stored", await customers(), { a: "first", b: "array", c: "array" });
  equal("transaction: the key in a foreign key", await stored(invoices), [["1", "a"]]);
}

run([create, upsert, transactions], () => db.$disconnect());
