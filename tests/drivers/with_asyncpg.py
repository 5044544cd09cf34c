"""asyncpg: its own implementation of the protocol; Parse, Describe and Flush ahead of the rest."""

import asyncio
import io

import asyncpg

from checks import (
    ASLEEP, BATCH, BIG, LOADS, USERS, driver, equal, logged_in, ok, restart, same, sqlstate_of,
)

INSERT = "INSERT INTO events VALUES ($1, 'x')"


async def fails(name, sqlstate, call):
    try:
        result = await call
    except asyncpg.PostgresError as error:
        same(name, sqlstate_of(error), sqlstate)
        return error
    raise SystemExit(f"not ok {name}: no error but {result!r}, expected {sqlstate}")


async def raises(name, sqlstate, call):
    await fails(name, sqlstate, call)
    ok(name)


# The list of README.md.


async def everything():
    for user in USERS:
        db = await asyncpg.connect(user=user, password="secret")
        same("login", await db.fetchval("SELECT current_user"), user)
        await db.close()
        logged_in(user)
    db = await asyncpg.connect()
    steps = (single, in_transaction, returning, several, batches, copy, cursor, listen, cancel)
    for step in (*steps, large, shown):
        await step(db)
    restart()
    try:
        await db.execute("SELECT 1")
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        pass
    else:
        raise SystemExit("not ok reconnect: the session goes on")
    db = await asyncpg.connect()
    equal("reconnect", await each(db, 1, 70), "0 1")
    return db


async def insert(db, id, kind="x"):
    return await db.execute("INSERT INTO events VALUES ($1, $2)", id, kind)


async def single(db):
    equal("simple insert", await db.execute("INSERT INTO events VALUES (1, 'x')"), "INSERT 0 1")
    prepared = await db.prepare("INSERT INTO events VALUES ($1, $2)")
    told = []
    for id, kind in ((2, "x"), (3, "x"), (2, "again")):
        await prepared.fetch(id, kind)
        told.append(prepared.get_statusmsg())
    equal("prepared insert", told[:2], ["INSERT 0 1", "INSERT 0 1"])
    told.append(await db.execute("INSERT INTO events VALUES (1, 'again')"))
    equal("duplicate in autocommit", told[2:], ["INSERT 0 0", "INSERT 0 0"])


async def in_transaction(db):
    async with db.transaction():
        counts = await each(db, 1, 10, 10, 2, 11)
    equal("duplicate in a transaction", counts, "0 1 0 0 1")


async def returning(db):
    sql = INSERT + " RETURNING id"
    rows = [await db.fetch(sql, id) for id in (20, 20)]
    async with db.transaction():
        rows += [await db.fetch(sql, id) for id in (21, 21, 1)]
    rows = [[row["id"] for row in each] for each in rows]
    equal("duplicate with RETURNING", rows, [[20], [], [21], [], []])


async def several(db):
    sql = "INSERT INTO events VALUES (30, 'x'), ($1, 'x'), (31, 'x')"
    equal("duplicate among several rows", await db.execute(sql, 1), "INSERT 0 2")


async def batches(db):
    async with db.transaction():
        await db.executemany(INSERT, [(id,) for id in BATCH])
    ok("batch in a transaction")
    await db.execute("INSERT INTO loads VALUES (5, 'x')")
    await db.executemany("INSERT INTO loads VALUES ($1, 'x')", [(id,) for id in LOADS])
    ok("batch in autocommit")


async def copy(db):
    await db.execute("INSERT INTO other VALUES (1)")
    numbers = range(2, 10_000)
    await db.copy_records_to_table("other", records=[(number,) for number in numbers])
    copied = io.BytesIO()
    await db.copy_from_query("SELECT id FROM other ORDER BY id", output=copied)
    equal("COPY", [int(line) for line in copied.getvalue().split()], [1, *numbers])


async def cursor(db):
    """A portal of the protocol."""
    read, counts = [], []
    async with db.transaction():
        async for (number,) in db.cursor("SELECT generate_series(1, 100)", prefetch=10):
            read.append(number)
            if number % 15 == 0:
                counts.append(await each(db, 1, 400 + number))
    equal("cursor", (read, counts), (list(range(1, 101)), ["0 1"] * 6))


async def listen(db):
    heard = asyncio.get_running_loop().create_future()
    await db.add_listener("ears", lambda *arguments: heard.set_result(arguments[-1]))
    await db.execute("NOTIFY ears, 'hello'")
    equal("LISTEN", await asyncio.wait_for(heard, 30), "hello")
    await db.reset()


async def cancel(db):
    """By cancelling the task; it does not say with which error the server answered.

    What is not cancelled outlasts the script."""
    watcher = await asyncpg.connect()
    sleeper = asyncio.ensure_future(db.execute("SELECT pg_sleep(600)"))
    async with asyncio.timeout(30):
        while await watcher.fetchval(ASLEEP) != 1:
            await asyncio.sleep(0.01)
        sleeper.cancel()
        await asyncio.gather(sleeper, return_exceptions=True)
        while await watcher.fetchval(ASLEEP) != 0:
            await asyncio.sleep(0.01)
    same("cancel", sleeper.cancelled(), True)
    equal("cancel", await db.fetchval("SELECT 1"), 1)
    await watcher.close()


async def large(db):
    told = [await insert(db, 50, BIG), await insert(db, 50, "again")]
    same("large value", told, ["INSERT 0 1", "INSERT 0 0"])
    equal("large value", await db.fetchval("SELECT kind FROM events WHERE id = 50"), BIG)


async def shown(db):
    unlisted = "INSERT INTO other VALUES (1)"
    error = await fails("error shown", "23505", db.execute(unlisted))
    same("error shown", error.constraint_name, "other_pkey")
    transaction = db.transaction()
    await transaction.start()
    same("error shown", await insert(db, 60), "INSERT 0 1")
    await fails("error shown", "23505", db.execute(unlisted))
    await fails("error shown", "25P02", insert(db, 61))
    await transaction.rollback()
    ok("error shown")


# What is its own.


async def inserts(db):
    simple = "INSERT INTO events VALUES (1, 'x')"
    equal("simple query", await db.execute(simple), "INSERT 0 1")
    equal("simple duplicate", await db.execute(simple), "INSERT 0 0")
    equal("extended insert", await db.execute(INSERT, 2), "INSERT 0 1")
    equal("extended duplicate", await db.execute(INSERT, 2), "INSERT 0 0")
    prepared = await db.prepare(INSERT)
    for expected in ("INSERT 0 1", "INSERT 0 0", "INSERT 0 0"):
        await prepared.fetch(3)
        equal("prepared insert or duplicate", prepared.get_statusmsg(), expected)

    await db.execute("INSERT INTO other VALUES (1)")
    await raises("unlisted duplicate", "23505", db.execute("INSERT INTO other VALUES (1)"))
    await raises("unlisted, prepared", "23505", db.execute("INSERT INTO other VALUES ($1)", 1))
    several = "INSERT INTO events VALUES (4, 'x'), ($1, 'x'), (5, 'x')"
    equal("several rows", await db.execute(several, 1), "INSERT 0 2")
    equal("returning", await db.fetchval(INSERT + " RETURNING id", 6), 6)
    equal("no row of a duplicate", await db.fetch(INSERT + " RETURNING id", 6), [])
    # A pipeline outside BEGIN is one transaction, whose other statements are undone.
    await raises("executemany", "23505", db.executemany(INSERT, [(11,), (1,), (12,)]))
    equal("stored", await db.fetchval("SELECT count(*) FROM events"), 6)


async def each(db, *numbers):
    return " ".join([(await db.execute(INSERT, number)).split()[-1] for number in numbers])


async def transactions(db):
    async with db.transaction():
        equal("in a transaction", await each(db, 1, 7, 7, 2, 8), "0 1 0 0 1")
        several = "INSERT INTO events VALUES (8, 'x'), ($1, 'x'), (1, 'x')"
        equal("several rows in a transaction", await db.execute(several, 9), "INSERT 0 1")
        equal("returning in a transaction", await db.fetchval(INSERT + " RETURNING id", 10), 10)
        equal("no row in a transaction", await db.fetch(INSERT + " RETURNING id", 10), [])
        await db.executemany(INSERT, [(number,) for number in (1, *range(5, 300), 2, 300)])
        equal("executemany", await db.fetchval("SELECT count(*) FROM events"), 300)
        rows = await db.fetchmany(INSERT + " RETURNING id", [(1,), (301,), (301,), (302,)])
        equal("executemany, returning", [row["id"] for row in rows], [301, 302])
        # Several statements in one simple query.
        one = "INSERT INTO events VALUES (303, 'x')"
        equal("script", await db.execute(f"{one}; {one}; SELECT 1; {one}"), "INSERT 0 0")

    async with db.transaction():
        async with db.transaction():
            equal("in a savepoint", await each(db, 1, 304, 304), "0 1 0")
        inner = db.transaction()
        await inner.start()
        equal("in another", await each(db, 304, 305), "0 1")
        await inner.rollback()
        equal("behind its rollback", await each(db, 304, 305), "0 1")
    equal("stored around savepoints", await db.fetchval("SELECT count(*) FROM events"), 305)

    # A portal of the protocol, fetched from on both sides of duplicates.
    fetched = []
    async with db.transaction():
        async for (number,) in db.cursor("SELECT generate_series(1, 100)", prefetch=10):
            fetched.append(number)
            if number % 15 == 0:
                await db.execute(INSERT, 1)
                await db.fetch(INSERT + " RETURNING id", 2)
    equal("cursor beside duplicates", fetched, list(range(1, 101)))

    transaction = db.transaction()
    await transaction.start()
    equal("before an error", await each(db, 400, 400), "1 0")
    await raises("unlisted", "23505", db.execute("INSERT INTO other VALUES (1)"))
    await raises("transaction has failed", "25P02", db.execute(INSERT, 1))
    await transaction.rollback()
    equal("rolled back", await db.fetchval("SELECT count(*) FROM events"), 305)
    await db.execute("DELETE FROM events WHERE id > 5")


async def rewritten(db):
    """With strategy = "rewrite" what is one transaction without BEGIN keeps its good rows."""
    load = "INSERT INTO loads VALUES ($1, 'x')"
    await db.executemany(load, [(number,) for number in (1, *range(1, 1000), 5)])
    equal("rewritten executemany", await db.fetchval("SELECT count(*) FROM loads"), 999)
    rows = await db.fetchmany(load + " RETURNING id", [(1,), (1000,), (1000,)])
    equal("rewritten executemany, returning", [row["id"] for row in rows], [1000])
    one = "INSERT INTO loads VALUES (1001, 'x')"
    equal("rewritten script", await db.execute(f"{one}; {one}; SELECT 1; {one}"), "INSERT 0 0")
    async with db.transaction():
        equal("rewritten in a transaction", await db.execute(load, 1001), "INSERT 0 0")
    equal("rewritten: stored", await db.fetchval("SELECT count(*) FROM loads"), 1001)


async def main():
    # The server offers no TLS; asyncpg asks for it and goes on without.
    driver(asyncpg.__version__)
    db = await everything()
    await db.execute("TRUNCATE events, loads, other")
    for part in (inserts, transactions, rewritten):
        await part(db)
    await db.close()


asyncio.run(main())
