// node-postgres: without parameters a simple query, and one statement in flight at a time
// where its pipeline mode is not asked for.

"use strict";

const { equal, fails, installed, main, range, run } = require("./checks.js");

const { Client } = installed("pg");
const Cursor = installed("pg-cursor");
const { from, to } = installed("pg-copy-streams");
const { pipeline } = require("node:stream/promises");
const { Readable } = require("node:stream");

class NodePostgres {
  constructor(client) {
    this.client = client;
    this.begun = false;
  }

  static async connect(user, options = {}) {
    const login = user ? { user, password: "secret" } : {};
    const client = new Client({ ...login, ...options });
    // Otherwise the end of the connection would end the process.
    client.on("error", () => {});
    await client.connect();
    return new NodePostgres(client);
  }

  end() {
    return this.client.end();
  }

  async again() {
    return NodePostgres.connect();
  }

  async count(text, values) {
    return (await this.client.query(text, values)).rowCount;
  }

  async rows(text, values) {
    return (await this.client.query({ text, values, rowMode: "array" })).rows.map(([it]) => it);
  }

  async prepared(...values) {
    const text = "INSERT INTO events VALUES ($1, $2)";
    return (await this.client.query({ name: "insert", text, values })).rowCount;
  }

  async begin(work) {
    await this.client.query("BEGIN");
    this.begun = true;
    try {
      const result = await work(this);
      await this.client.query("COMMIT");
      return result;
    } catch (error) {
      await this.client.query("ROLLBACK");
      throw error;
    } finally {
      this.begun = false;
    }
  }

  /** In its pipeline mode, on a connection of its own: a Sync behind each statement. */
  async batch(table, ids) {
    const text = `INSERT INTO ${table} VALUES ($1, 'x')`;
    const { client } = await NodePostgres.connect(undefined, { pipeline: true });
    const sent = [];
    if (this.begun) sent.push(client.query("BEGIN"));
    sent.push(...ids.map((id) => client.query(text, [id])));
    if (this.begun) sent.push(client.query("COMMIT"));
    const results = await Promise.all(sent);
    await client.end();
    return results.reduce((sum, result) => sum + (result.rowCount ?? 0), 0);
  }

  async copyIn(sql, text) {
    await pipeline(Readable.from([text]), this.client.query(from(sql)));
  }

  async copyOut(sql) {
    const chunks = await this.client.query(to(sql)).toArray();
    return Buffer.concat(chunks).toString();
  }

  async *cursor(sql, size) {
    const cursor = this.client.query(new Cursor(sql));
    for (let rows; (rows = await cursor.read(size)).length > 0; ) yield* rows.map(({ n }) => n);
  }

  async heard() {
    const heard = new Promise((resolve) => this.client.once("notification", resolve));
    await this.client.query("LISTEN ears");
    await this.client.query("NOTIFY ears, 'hello'");
    return (await heard).payload;
  }

  async cancelled(sql, asleep) {
    const watcher = await NodePostgres.connect();
    const query = new (installed("pg").Query)(sql);
    const sleeper = new Promise((resolve, reject) => {
      query.on("error", reject);
      query.on("end", resolve);
      this.client.query(query);
    });
    sleeper.catch(() => {});
    while ((await watcher.rows(asleep))[0] === 0);
    // What there is: another client takes this one's key along.
    new Client().cancel(this.client, query);
    await watcher.end();
    return sleeper;
  }
}

main(async () => {
  const { version } = installed("pg/package.json");
  console.log(`driver ${version}`);
  const db = await run(NodePostgres.connect);
  await db.count("TRUNCATE events, loads, other");

  // Several statements in one query are one transaction, whose other statements are undone.
  const script = (...ids) => ids.map((id) => `INSERT INTO events VALUES (${id}, 'x')`).join("; ");
  await db.count(script(1));
  await fails("several statements", "23505", db.count(script(2, 1, 3)));
  equal("nothing of them stored", await db.rows("SELECT id FROM events"), [1]);
  const results = await db.begin((it) => it.client.query(script(2, 1, 3)));
  equal("several statements in a transaction", results.map((it) => it.rowCount), [1, 0, 1]);

  const counts = await db.begin(async (it) => {
    const counts = [];
    await it.count("SAVEPOINT own");
    for (const id of [1, 4, 4]) counts.push(await it.prepared(id, "x"));
    await it.count("ROLLBACK TO own");
    for (const id of [1, 4, 5, 5]) counts.push(await it.prepared(id, "x"));
    await it.count("RELEASE own");
    return counts;
  });
  equal("savepoints", counts, [0, 1, 0, 0, 1, 1, 0]);
  equal("stored", await db.rows("SELECT id FROM events ORDER BY id"), range(1, 5));

  const read = await db.begin(async (it) => {
    const read = [await it.prepared(1, "x")];
    for await (const n of it.cursor("SELECT generate_series(1, 100) AS n", 10)) read.push(n);
    return [...read, await it.prepared(1, "x")];
  });
  equal("its own cursor between duplicates", read, [...range(0, 100), 0]);

  // A pool's clients, all at once.
  const pool = new (installed("pg").Pool)({ max: 4 });
  const insert = "INSERT INTO events VALUES ($1, 'x')";
  const raced = await Promise.all(range(0, 39).map((n) => pool.query(insert, [6 + (n % 10)])));
  equal("pool", raced.reduce((sum, result) => sum + result.rowCount, 0), 10);
  await pool.end();
});
