// Prisma: what it makes of duplicates, see told.js.

"use strict";

const { installed, tell } = require("./told.js");
const { connect: client } = require("./prisma.js");

async function connect(at) {
  const db = client(at);
  return {
    one: (data) => db.customer.create({ data }),
    update: ({ id }, name) => db.customer.update({ where: { id }, data: { name } }),
    several: (data) => db.customer.createManyAndReturn({ data }),
    own: (data) => db.customer.create({ data }),
    natural: (data) => db.country.create({ data }),
    end: () => db.$disconnect(),
  };
}

tell("@prisma/client", connect);
