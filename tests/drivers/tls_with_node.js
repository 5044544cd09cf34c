// Logs in over TLS, with the name in the certificate verified, as PGUSER, PGPORT and CA say.

"use strict";

const { readFileSync } = require("node:fs");
const { createRequire } = require("node:module");

// Where tests/run installs them.
const installed = createRequire(`${__dirname}/../../target/drivers-npm/package.json`);
const { Client } = installed("pg");

const { CA, CHANNEL_BINDING, PGPORT, PGUSER } = process.env;

async function main() {
  const db = new Client({
    host: "localhost",
    port: Number(PGPORT),
    user: PGUSER,
    password: "secret",
    database: "postgres",
    ssl: { ca: readFileSync(CA, "utf8") },
    enableChannelBinding: CHANNEL_BINDING !== "disable",
  });
  await db.connect();
  await db.query("SELECT 1");
  await db.end();
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
