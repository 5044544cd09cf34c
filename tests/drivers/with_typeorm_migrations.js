// TypeORM's migrations, each of which is a transaction, where rules list every key.

"use strict";

const { again, first, installed, proxy, start } = require("./migrations.js");
const { DataSource, Table, TableColumn, TableIndex } = installed("typeorm");

const text = { type: "text" };
const unique = new TableIndex({ name: "customers_name_key", columnNames: ["name"], isUnique: true });
const insert = (runner, rows) =>
  runner.manager.createQueryBuilder().insert().into("customers", ["email", "name"]).values(rows).execute();

const tables = {
  name: "Tables1000000000001",
  async up(runner) {
    const id = { name: "id", type: "int", isPrimary: true, isGenerated: true, generationStrategy: "identity" };
    const columns = [{ ...id, generatedIdentity: "BY DEFAULT" }, { name: "email", ...text }, { name: "name", ...text }];
    const uniques = [{ name: "customers_email_key", columnNames: ["email"] }];
    await runner.createTable(new Table({ name: "customers", columns, uniques }));
    await insert(runner, first);
  },
  down: (runner) => runner.dropTable("customers"),
};
const rows = {
  name: "Rows1000000000002",
  async up(runner) {
    await insert(runner, again);
    await runner.query("INSERT INTO customers (email, name) VALUES ($1, $2)", ["c", "again"]);
  },
  down: (runner) => runner.query("DELETE FROM customers WHERE email = 'd'"),
};
const key = {
  name: "Key1000000000003",
  async up(runner) {
    await runner.addColumn("customers", new TableColumn({ name: "note", isNullable: true, ...text }));
    await runner.createIndex("customers", unique);
  },
  down: (runner) => runner.dropIndex("customers", unique),
};

/** Says nothing by itself of a migration that fails. */
const logger = new Proxy({}, { get: () => () => {} });

/** As a class, which is what TypeORM makes its migrations of. */
const made = ({ name, up, down }) => class {
  name = name;
  up = up;
  down = down;
};

/** Does something with the migrations up to this one. */
async function to(number, call) {
  const { user: username, ...at } = proxy;
  const migrations = [tables, rows, key].slice(0, number).map(made);
  const db = new DataSource({ type: "postgres", username, migrations, logger, ...at });
  await db.initialize();
  try {
    await call(db);
  } finally {
    await db.destroy();
  }
}

start({
  up: (number) => to(number, (db) => db.runMigrations({ transaction: "each" })),
  stamp: (number) => to(number, (db) => db.runMigrations({ fake: true })),
  down: (number) => to(number, (db) => db.undoLastMigration({ transaction: "each" })),
  versions: "SELECT name FROM migrations ORDER BY 1",
  state: (error) => error.driverError?.code,
  end: async () => {},
});
