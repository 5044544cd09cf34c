// Prisma's client, generated from a schema of the tables of tests/it/drivers/orms.rs into a folder that
// goes with the process. The client has no engine but the WebAssembly that it brings, and speaks by
// node-postgres. `prisma generate` wants the path of a schema engine, and does not run it.

"use strict";

const { execFileSync } = require("node:child_process");
const { mkdtempSync, rmSync, symlinkSync, writeFileSync } = require("node:fs");
const { createRequire } = require("node:module");
const { tmpdir } = require("node:os");
const { join } = require("node:path");

const modules = join(__dirname, "../../target/drivers-npm/node_modules");
const installed = createRequire(join(modules, "../package.json"));
const { PrismaPg } = installed("@prisma/adapter-pg");

const SCHEMA = `
generator client {
  provider = "prisma-client-js"
  output   = "./client"
}
datasource db {
  provider = "postgresql"
}
model Customer {
  id       Int       @id @default(autoincrement())
  email    String    @unique
  name     String
  invoices Invoice[]
  @@map("customers")
}
model Country {
  code String @id
  name String
  @@map("countries")
}
model Invoice {
  id         Int      @id @default(autoincrement())
  number     String   @unique
  customerId Int      @map("customer_id")
  customer   Customer @relation(fields: [customerId], references: [id])
  @@map("invoices")
}
`;

const folder = mkdtempSync(join(tmpdir(), "pgabsorb-prisma-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
symlinkSync(modules, join(folder, "node_modules"));
writeFileSync(join(folder, "schema.prisma"), SCHEMA);
execFileSync(process.execPath, [join(modules, "prisma/build/index.js"), "generate", "--no-hints"], {
  cwd: folder,
  env: { ...process.env, CHECKPOINT_DISABLE: "1", PRISMA_SCHEMA_ENGINE_BINARY: process.execPath },
  stdio: ["ignore", "ignore", "inherit"],
});
const { Prisma, PrismaClient } = require(join(folder, "client"));

function connect(at) {
  return new PrismaClient({ adapter: new PrismaPg(at), errorFormat: "minimal" });
}

module.exports = { Prisma, connect };
