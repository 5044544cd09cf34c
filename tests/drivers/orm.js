// What the scripts of node's ORMs share. The tables, and where the server is: see checks.py and
// tests/it/drivers/orms.rs.

"use strict";

const { isDeepStrictEqual } = require("node:util");
const { installed, stored: storedIn } = require("./told.js");

const { PGDATABASE, PGHOST, PGPORT, PGUSER } = process.env;

const proxy = { host: PGHOST, port: Number(PGPORT), user: PGUSER, database: PGDATABASE };

function equal(name, actual, expected) {
  if (!isDeepStrictEqual(actual, expected)) {
    throw new Error(
      `not ok ${name}: ${JSON.stringify(actual)}, expected ${JSON.stringify(expected)}`,
    );
  }
  console.log(`ok ${name}`);
}

/** What the server itself holds, past the proxy. */
const stored = (sql) => storedIn(PGDATABASE, sql);

async function customers() {
  return Object.fromEntries(await stored("SELECT email, name FROM customers"));
}

async function keys(emails) {
  const there = Object.fromEntries(await stored("SELECT email, id FROM customers"));
  return [...emails].map((email) => there[email]);
}

const invoices = "SELECT number, email FROM invoices JOIN customers c ON customer_id = c.id";

/** Each part with empty tables, and the end of all. */
function run(parts, end) {
  const all = async () => {
    for (const part of parts) {
      await stored("TRUNCATE customers, countries, regions, invoices");
      await part();
    }
    await end();
  };
  all().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { customers, equal, installed, invoices, keys, proxy, run, stored };
