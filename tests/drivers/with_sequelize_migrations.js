// Sequelize's migrations, by Umzug, where rules list every key. None is a transaction but by its own word.

"use strict";

const { again, first, installed, proxy, start } = require("./migrations.js");
const { DataTypes, Sequelize } = installed("sequelize");
const { SequelizeStorage, Umzug } = installed("umzug");

const { database, user, host, port } = proxy;
const db = new Sequelize(database, user, "", {
  dialect: "postgres",
  dialectModule: installed("pg"),
  host,
  port,
  logging: false,
});

const text = { type: DataTypes.TEXT, allowNull: false };
const tables = {
  name: "1-tables",
  up: ({ context }) => db.transaction(async (transaction) => {
    const id = { type: DataTypes.INTEGER, primaryKey: true, autoIncrement: true };
    const email = { ...text, unique: true };
    await context.createTable("customers", { id, email, name: text }, { transaction });
    await context.bulkInsert("customers", first, { transaction });
  }),
  down: ({ context }) => context.dropTable("customers"),
};
const rows = {
  name: "2-rows",
  up: ({ context }) => db.transaction(async (transaction) => {
    await context.bulkInsert("customers", again, { transaction });
    await db.query("INSERT INTO customers (email, name) VALUES ('c', 'again')", { transaction });
  }),
  down: ({ context }) => context.bulkDelete("customers", { email: "d" }),
};
const key = {
  name: "3-key",
  up: ({ context }) => db.transaction(async (transaction) => {
    await context.addColumn("customers", "note", { type: DataTypes.TEXT }, { transaction });
    const options = { name: "customers_name_key", unique: true, transaction };
    await context.addIndex("customers", ["name"], options);
  }),
  down: ({ context }) => context.removeIndex("customers", "customers_name_key"),
};

const migrations = [tables, rows, key];
const storage = new SequelizeStorage({ sequelize: db });
const umzug = new Umzug({ migrations, context: db.getQueryInterface(), storage, logger: undefined });

/** Those of the first so many that are not done. */
async function up(number) {
  const known = migrations.slice(0, number).map(({ name }) => name);
  const pending = (await umzug.pending()).map(({ name }) => name);
  await umzug.up({ migrations: pending.filter((name) => known.includes(name)) });
}

start({
  up,
  stamp: (number) => storage.logMigration({ name: migrations[number - 1].name }),
  down: () => umzug.down(),
  versions: 'SELECT name FROM "SequelizeMeta" ORDER BY 1',
  state: (error) => (error.cause ?? error).parent?.code,
  end: () => db.close(),
});
