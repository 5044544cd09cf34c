// What an ORM makes of a duplicate, in words that are the same for each: see README.md. The
// databases, one for each kind of rule, are in TOLD.

"use strict";

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { join } = require("node:path");

// Where tests/run installs them.
const modules = join(__dirname, "../../target/drivers-npm/node_modules");
const installed = createRequire(join(modules, "../package.json"));
const { Client } = installed("pg");

const { PGHOST, PGPORT, PGUSER, SERVER_HOST, SERVER_PORT, TOLD } = process.env;

/** What the server itself holds, past the proxy. */
async function stored(database, sql) {
  const at = { host: SERVER_HOST, port: Number(SERVER_PORT), user: PGUSER, database };
  const server = new Client(at);
  await server.connect();
  try {
    const { rows } = await server.query({ text: sql, rowMode: "array" });
    return rows;
  } finally {
    await server.end();
  }
}

/** Whose keys the objects have: one for each of these, in their order, or fewer. */
async function whose(database, emails, objects) {
  const rows = await stored(database, "SELECT email, id FROM customers");
  const [ids, owners] = [new Map(rows), new Map(rows.map(([email, id]) => [id, email]))];
  const each = objects.filter(Boolean).map(({ id, email }, place) => {
    if (id === undefined || id === null) return "**no key**";
    const given = objects.length === emails.length ? emails[place] : email;
    if (id === ids.get(given)) return "the row's key";
    return owners.has(id) ? "**keys of other rows**" : "**a key of no row**";
  });
  if (each.length === 0) return "**no object**";
  const worst = ["**keys of other rows**", "**a key of no row**", "**no key**"];
  const fewer = each.length < emails.length ? "fewer objects" : "the row's key";
  return worst.find((it) => each.includes(it)) ?? fewer;
}

/** Which version of a package is installed. */
function version(name) {
  return JSON.parse(readFileSync(join(modules, name, "package.json"))).version;
}

/** The duplicate as it is without the proxy; Prisma has a number of its own for it. */
function isDuplicate(error) {
  const causes = [error, error.parent, error.driverError];
  return causes.some((it) => ["23505", "P2002"].includes(it?.code));
}

/** Says what came of a call: the error, or what `look` finds. */
async function outcome(call, look) {
  let result;
  try {
    result = await call();
  } catch (error) {
    console.error(error);
    if (isDuplicate(error)) return "23505";
    return `\`${error.name === "error" ? error.constructor.name : error.name}\``;
  }
  return look(result);
}

/** The list, with the ORM's own ways to do each. */
async function list(database, orm) {
  const say = (what, text) => console.log(`${database} ${what}: ${text}`);
  await stored(
    database,
    `TRUNCATE customers, countries, invoices; INSERT INTO countries VALUES ('de', 'first');
     INSERT INTO customers (email, name) VALUES ('a', 'first'), ('b', 'first')`,
  );
  let one;
  const created = async () => (one = await orm.one({ email: "a", name: "second" }));
  say("one", await outcome(created, () => whose(database, "a", [one])));
  const changed = async () => {
    const [[name]] = await stored(database, "SELECT name FROM customers WHERE email = 'a'");
    return name === "changed" ? "changes the row" : "**no row, and no error**";
  };
  say("update", one ? await outcome(() => orm.update(one, "changed"), changed) : "");
  const emails = "dbeaf";
  const rows = [...emails].map((email) => ({ email, name: "several" }));
  const several = await outcome(
    () => orm.several(rows),
    (made) => whose(database, emails, made),
  );
  const rest = "SELECT count(*)::int FROM customers WHERE email IN ('d', 'e', 'f')";
  const [[there]] = await stored(database, rest);
  const instead = there ? `, and ${there} of 3 new rows are stored` : "";
  say("several", several.startsWith("`") ? several + instead : several);
  const own = { id: 1000, email: "a", name: "own" };
  say("own", await outcome(() => orm.own(own), (made) => whose(database, "a", [made])));
  const natural = { code: "de", name: "second" };
  say("natural", await outcome(() => orm.natural(natural), () => "success"));
}

/** With each database: `connect` gives the ORM's ways, and how it ends. */
async function tell(name, connect) {
  console.log(`orm ${version(name)}`);
  for (const database of TOLD.split(" ")) {
    const orm = await connect({ host: PGHOST, port: Number(PGPORT), user: PGUSER, database });
    await list(database, orm);
    await orm.end();
  }
}

module.exports = { installed, stored, tell };
