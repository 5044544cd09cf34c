// Knex: what it makes of duplicates, see told.js. It has no objects, so an update is by the key that
// came back.

"use strict";

const { installed, tell } = require("./told.js");
const knex = installed("knex");

function connect(connection) {
  const db = knex({ client: "pg", connection });
  const insert = (table, rows) => db(table).insert(rows, "*");
  const one = async (values) => (await insert("customers", values))[0];
  return {
    one,
    update: ({ id }, name) => db("customers").where({ id }).update({ name }),
    several: (rows) => insert("customers", rows),
    own: one,
    natural: (values) => db("countries").insert(values),
    end: () => db.destroy(),
  };
}

tell("knex", connect);
