// Logs in over TLS, with the name in the certificate verified, as PGUSER, PGPORT and CA say. It cannot
// bind the login to the channel.

"use strict";

const { readFileSync } = require("node:fs");
const { installed } = require("./checks.js");

const postgres = installed("postgres");

const { CA, PGPORT, PGUSER } = process.env;

async function main() {
  const sql = postgres({
    host: "localhost",
    port: Number(PGPORT),
    user: PGUSER,
    password: "secret",
    database: "postgres",
    ssl: { ca: readFileSync(CA, "utf8") },
  });
  await sql`SELECT 1`;
  await sql.end();
  console.log("ok");
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
