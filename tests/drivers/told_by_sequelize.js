// Sequelize: what it makes of duplicates, see told.js.

"use strict";

const { installed, tell } = require("./told.js");
const { DataTypes, Sequelize } = installed("sequelize");

function connect({ database, user, ...at }) {
  const options = { dialect: "postgres", dialectModule: installed("pg"), logging: false, ...at };
  const define = { timestamps: false };
  const db = new Sequelize(database, user, "", { ...options, define });
  const text = (more) => ({ type: DataTypes.TEXT, ...more });
  const Customer = db.define("Customer", { email: text(), name: text() }, { tableName: "customers" });
  const columns = { code: text({ primaryKey: true }), name: text() };
  const Country = db.define("Country", columns, { tableName: "countries" });
  return {
    one: (values) => Customer.create(values),
    update: (customer, name) => customer.update({ name }),
    several: (rows) => Customer.bulkCreate(rows),
    own: (values) => Customer.create(values),
    natural: (values) => Country.create(values),
    end: () => db.close(),
  };
}

tell("sequelize", connect);
