// postgres.js: every statement is prepared by name, pipelined on its connection, from a pool that
// connects anew by itself.

"use strict";

const { equal, fails, installed, main, modules, range, run } = require("./checks.js");

const postgres = installed("postgres");
const { readFileSync } = require("node:fs");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");

class PostgresJs {
  constructor(sql) {
    this.sql = sql;
  }

  static async connect(user) {
    const login = user ? { user, password: "secret" } : {};
    return new PostgresJs(postgres({ max: 1, onnotice: () => {}, ...login }));
  }

  end() {
    return this.sql.end();
  }

  /** The pool of before connects again when it is asked again. */
  async again() {
    return this;
  }

  async count(text, values) {
    return (await this.sql.unsafe(text, values)).count;
  }

  async rows(text, values) {
    return (await this.sql.unsafe(text, values).values()).map(([it]) => it);
  }

  async prepared(id, kind) {
    return (await this.sql`INSERT INTO events VALUES (${id}, ${kind})`).count;
  }

  begin(work) {
    return this.sql.begin((sql) => work(new PostgresJs(sql)));
  }

  async batch(table, ids) {
    const { sql } = this;
    const results = await Promise.all(
      ids.map((id) => sql`INSERT INTO ${sql(table)} VALUES (${id}, 'x')`),
    );
    return results.reduce((sum, result) => sum + result.count, 0);
  }

  async copyIn(text, lines) {
    await pipeline(Readable.from([lines]), await this.sql.unsafe(text).writable());
  }

  /** On a connection of its own, which the driver leaves paused behind much data, proxy or not. */
  async copyOut(text) {
    const own = await PostgresJs.connect();
    const chunks = await (await own.sql.unsafe(text).readable()).toArray();
    own.sql.end({ timeout: 0 });
    return Buffer.concat(chunks).toString();
  }

  async heard() {
    const heard = new Promise((resolve) => {
      this.sql.listen("ears", resolve).then(() => this.sql.notify("ears", "hello"));
    });
    return heard;
  }

  async cancelled(text, asleep) {
    const watcher = await PostgresJs.connect();
    const query = this.sql.unsafe(text);
    const sleeper = query.execute();
    sleeper.catch(() => {});
    while ((await watcher.rows(asleep))[0] === 0);
    query.cancel();
    await watcher.end();
    return sleeper;
  }
}

main(async () => {
  const { version } = JSON.parse(readFileSync(`${modules}/postgres/package.json`));
  console.log(`driver ${version}`);
  const db = await run(PostgresJs.connect);
  const { sql } = db;
  await db.count("TRUNCATE events, loads, other");

  const several = range(1, 3).map((id) => ({ id, kind: "x" }));
  const first = await sql`INSERT INTO events ${sql(several[0])}`;
  const rows = await sql`INSERT INTO events ${sql(several)} RETURNING id`;
  equal("rows of objects", [first.count, rows.map((row) => row.id)], [1, [2, 3]]);
  await fails(
    "several statements",
    "23505",
    sql`INSERT INTO events VALUES (4); INSERT INTO events VALUES (1)`.simple(),
  );
  equal("nothing of them stored", await db.rows("SELECT count(*)::int FROM events"), [3]);

  const insert = (it, id) => it`INSERT INTO events VALUES (${id}, 'x')`;
  const counts = await sql.begin(async (outer) => {
    const counts = [await insert(outer, 1)];
    await outer.savepoint(async (inner) => counts.push(await insert(inner, 1), await insert(inner, 5)));
    const undone = outer.savepoint(async (inner) => {
      counts.push(await insert(inner, 5), await insert(inner, 6));
      throw new Error("undone");
    });
    await undone.catch(() => {});
    // BEGIN's answer is awaited, what is in an array goes in one flight.
    const flight = [1, 5, 6, 6, 7].map((id) => insert(outer, id));
    counts.push(...(await Promise.all(flight)));
    return counts.map((it) => it.count);
  });
  equal("savepoints", counts, [0, 0, 1, 0, 1, 0, 0, 1, 0, 1]);

  const read = await sql.begin(async (it) => {
    const read = [(await insert(it, 1)).count];
    for await (const rows of it`SELECT generate_series(1, 100) AS n`.cursor(10)) {
      read.push(...rows.map(({ n }) => n));
    }
    return [...read, (await insert(it, 1)).count];
  });
  equal("its own cursor between duplicates", read, [...range(0, 100), 0]);

  const load = await sql.begin((it) => [1, 1, 2].map((id) => it`INSERT INTO loads VALUES (${id})`));
  equal("transaction of an array", load.map((it) => it.count), [1, 0, 1]);
});
