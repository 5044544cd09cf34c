// What the scripts for Node share: the list of README.md, done by what a script says of its driver.

"use strict";

const { readSync } = require("node:fs");
const { createRequire } = require("node:module");
const { isDeepStrictEqual } = require("node:util");

// Where tests/run installs the drivers.
const modules = `${__dirname}/../../target/drivers-npm/node_modules`;
const installed = createRequire(`${modules}/`);

const range = (first, last) => Array.from({ length: last - first + 1 }, (_, n) => first + n);
const BIG = "v".repeat(5 << 20);
const BATCH = [1, ...range(100, 299), 2, 100];
const LOADS = [...range(1, 200), 5];
const ASLEEP = `SELECT count(*)::int FROM pg_stat_activity
    WHERE wait_event = 'PgSleep' AND datname = current_database()`;

/** The driver has no such thing. */
class Missing extends Error {}

function ok(name) {
  console.log(`ok ${name}`);
}

function same(name, actual, expected) {
  if (!isDeepStrictEqual(actual, expected)) {
    const shown = [actual, expected].map((it) => JSON.stringify(it)?.slice(0, 300));
    throw new Error(`not ok ${name}: ${shown[0]}, expected ${shown[1]}`);
  }
}

function equal(name, actual, expected) {
  same(name, actual, expected);
  ok(name);
}

/** It fails with this SQLSTATE; returns the error. */
async function fails(name, code, promise) {
  const error = await promise.then(
    (result) => {
      throw new Error(`not ok ${name}: no error but ${JSON.stringify(result)}`);
    },
    (error) => error,
  );
  same(name, error.code, code);
  return error;
}

/** Returns when the server has crashed and come back. */
function restart() {
  console.log("restart");
  readSync(0, Buffer.alloc(1));
}

const insert = (db, id, kind = "x") =>
  db.count("INSERT INTO events VALUES ($1, $2)", [id, kind]);

async function inserts(db, ids) {
  const counts = [];
  for (const id of ids) counts.push(await insert(db, id));
  return counts;
}

const returned = (db, id) => db.rows("INSERT INTO events VALUES ($1, 'x') RETURNING id", [id]);

const list = {
  async "simple insert"(db) {
    same("simple insert", await db.count("INSERT INTO events VALUES (1, 'x')"), 1);
  },

  async "prepared insert"(db) {
    same("prepared insert", [await db.prepared(2, "x"), await db.prepared(3, "x")], [1, 1]);
  },

  async "duplicate in autocommit"(db) {
    const plain = await db.count("INSERT INTO events VALUES (1, 'again')");
    same("duplicate in autocommit", [plain, await db.prepared(2, "again")], [0, 0]);
  },

  async "duplicate in a transaction"(db) {
    const counts = await db.begin((it) => inserts(it, [1, 10, 10, 2, 11]));
    same("duplicate in a transaction", counts, [0, 1, 0, 0, 1]);
  },

  async "duplicate with RETURNING"(db) {
    const rows = [await returned(db, 20), await returned(db, 20)];
    await db.begin(async (it) => {
      for (const id of [21, 21, 1]) rows.push(await returned(it, id));
    });
    same("duplicate with RETURNING", rows, [[20], [], [21], [], []]);
  },

  async "duplicate among several rows"(db) {
    const sql = "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')";
    same("duplicate among several rows", await db.count(sql, [1]), 2);
  },

  async "batch in a transaction"(db) {
    const stored = await db.begin((it) => it.batch("events", BATCH));
    same("batch in a transaction", stored, 200);
  },

  async "batch in autocommit"(db) {
    await db.count("INSERT INTO loads VALUES (5, 'x')");
    same("batch in autocommit", await db.batch("loads", LOADS), 199);
  },

  async COPY(db) {
    await db.count("INSERT INTO other VALUES (1)");
    const text = range(2, 9999).join("\n") + "\n";
    await db.copyIn("COPY other FROM STDIN", text);
    const copied = await db.copyOut("COPY (SELECT id FROM other ORDER BY id) TO STDOUT");
    same("COPY", copied === `1\n${text}`, true);
  },

  async cursor(db) {
    const [read, counts] = [[], []];
    await db.begin(async (it) => {
      // The drivers' own cursors keep the session to themselves until they are at their end.
      await it.count("DECLARE reader CURSOR FOR SELECT generate_series(1, 100)");
      for (let rows; (rows = await it.rows("FETCH 10 FROM reader")).length > 0; ) {
        for (const number of rows) {
          read.push(number);
          if (number % 15 === 0) counts.push(...(await inserts(it, [1, 400 + number])));
        }
      }
    });
    same("cursor", [read, counts], [range(1, 100), range(0, 11).map((n) => n % 2)]);
  },

  async LISTEN(db) {
    same("LISTEN", await db.heard(), "hello");
  },

  async cancel(db) {
    await fails("cancel", "57014", db.cancelled("SELECT pg_sleep(60)", ASLEEP));
    same("cancel", await db.rows("SELECT 1"), [1]);
  },

  async "large value"(db) {
    const counts = [await insert(db, 50, BIG), await insert(db, 50, "again")];
    same("large value", counts, [1, 0]);
    const [value] = await db.rows("SELECT kind FROM events WHERE id = 50");
    same("large value", value === BIG, true);
  },

  async "error shown"(db) {
    const unlisted = (it) => it.count("INSERT INTO other VALUES (1)");
    const [there] = await db.rows("SELECT count(*)::int FROM other WHERE id = 1");
    if (there === 0) await unlisted(db);
    const error = await fails("error shown", "23505", unlisted(db));
    same("error shown", error.constraint ?? error.constraint_name, "other_pkey");
    const undone = db.begin(async (it) => {
      same("error shown", await insert(it, 60), 1);
      await fails("error shown", "23505", unlisted(it));
      await fails("error shown", "25P02", insert(it, 61));
      throw new Error("to be undone");
    });
    same("error shown", await undone.catch(() => "undone"), "undone");
  },
};

/** All of the list. `connect(user)` gives what a script makes of its driver. */
async function run(connect) {
  for (const user of ["trust", "password", "md5", "scram"]) {
    const db = await connect(user);
    const name = `login, ${user === "scram" ? "scram-sha-256" : user}`;
    same(name, await db.rows("SELECT current_user"), [user]);
    await db.end();
    ok(name);
  }
  let db = await connect();
  for (const [name, step] of Object.entries(list)) {
    try {
      await step(db);
      ok(name);
    } catch (error) {
      if (!(error instanceof Missing)) throw error;
      console.log(`-- ${name}: ${error.message}`);
    }
  }
  restart();
  const goesOn = await db.rows("SELECT 1").then(() => true, () => false);
  same("reconnect: the session goes on", goesOn, false);
  db = await db.again();
  equal("reconnect", await inserts(db, [1, 70]), [0, 1]);
  return db;
}

function main(script) {
  script().then(
    () => process.exit(0),
    (error) => {
      console.error(error);
      process.exit(1);
    },
  );
}

module.exports = { Missing, equal, fails, installed, main, modules, range, run };
