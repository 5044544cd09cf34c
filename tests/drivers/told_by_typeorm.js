// TypeORM: what it makes of duplicates, see told.js. `save` of an object with a key looks for its row
// first; `insert` does not.

"use strict";

const { installed, tell } = require("./told.js");
const { DataSource, EntitySchema } = installed("typeorm");

const text = { type: "text" };
const Customer = new EntitySchema({
  name: "Customer",
  tableName: "customers",
  columns: { id: { type: "int", primary: true, generated: "identity" }, email: text, name: text },
});
const Country = new EntitySchema({
  name: "Country",
  tableName: "countries",
  columns: { code: { ...text, primary: true }, name: text },
});

async function connect({ user, ...at }) {
  const db = new DataSource({ type: "postgres", username: user, entities: [Customer, Country], ...at });
  await db.initialize();
  const [customers, countries] = [db.getRepository(Customer), db.getRepository(Country)];
  const insert = async (repository, values) => {
    await repository.insert(values);
    return values;
  };
  return {
    one: (values) => customers.save(customers.create(values)),
    update: (customer, name) => customers.save({ ...customer, name }),
    several: (rows) => customers.save(customers.create(rows)),
    own: (values) => insert(customers, values),
    natural: (values) => insert(countries, values),
    end: () => db.destroy(),
  };
}

tell("typeorm", connect);
