// What the scripts of migrations by node's ORMs share: the steps, and what is printed of each. The
// script runs through the proxy and past it; tests/it/drivers/migrations.rs compares.

"use strict";

const { readFileSync } = require("node:fs");
const { join } = require("node:path");
const { installed, proxy, stored } = require("./orm.js");

const catalog = readFileSync(join(__dirname, "catalog.sql"), "utf8");

const said = (what, text) => console.log(`${what}: ${text}`);

/** The rows of a query as one line. */
async function show(what, sql) {
  said(what, (await stored(sql)).map((row) => row.join(" ")).join("; "));
}

/** The rows that are there at first, and those that the second migration inserts in one statement. */
const first = [..."abc"].map((email) => ({ email, name: "same" }));
const again = [..."adb"].map((email) => ({ email, name: "again" }));

/**
 * What an ORM has to do for it: `up(number)` migrates to this one, `stamp(number)` only notes it down,
 * `down(number)` undoes it; `versions` is the query for those that are noted down, and `state` finds the
 * SQLSTATE of an error.
 */
async function run({ up, down, stamp, versions, state, end }) {
  const went = async (what, call) => {
    const error = await call().then(() => null, (error) => error);
    if (error && !state(error)) throw error;
    said(what, error ? state(error) : "done");
  };
  const now = async (what) => {
    await show(`version ${what}`, versions);
    await show(`rows ${what}`, "SELECT email, name FROM customers ORDER BY 1");
  };
  const steps = {
    async tables() {
      await went("upgrade", () => up(1));
      await now("at first");
      await went("again", () => up(1));
    },
    async rows() {
      await went("rows that are there", () => up(2));
      await now("behind it");
      // As it has to be without the proxy.
      if ((await stored(versions)).length < 2) await stamp(2);
      await went("a key over duplicates", () => up(3));
      await show("schema", catalog);
      await went("downgrade", () => down(2));
      await now("at last");
      await went("to nothing", () => down(1));
      await show("all", catalog);
    },
  };
  await steps[process.argv[2]]();
  await end();
}

const start = (orm) => run(orm).catch((error) => {
  console.error(error);
  process.exit(1);
});

module.exports = { again, first, installed, proxy, start };
