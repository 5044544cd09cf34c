"""The list of README.md for a driver with Python's DB-API. What differs is in the script's class."""

import threading

from checks import (
    ASLEEP, BATCH, BIG, LOADS, USERS, fails, logged_in, missing, ok, restart, same, wait_until,
)


class Missing(Exception):
    """The driver has no such thing."""


class Driver:
    # How a parameter is written.
    mark = "%s"
    # Its errors.
    Error = Exception

    def connect(self, user=None):
        """A connection in autocommit, as PGUSER or with the password `secret`."""
        raise NotImplementedError

    def prepared(self, db, id, kind="x"):
        """Inserts by a statement that is prepared, as far as the driver does so; the row count."""
        return self.insert(db, id, kind)

    def batch(self, db, table, ids):
        cursor = db.cursor()
        cursor.executemany(self.sql(table), [(id, "x") for id in ids])
        cursor.close()

    def copy_in(self, db, sql, text):
        raise Missing("it has none")

    def copy_out(self, db, sql):
        raise Missing("it has none")

    def rows(self, db, sql):
        """The first column, fetched by 10 while the caller does other things."""
        raise Missing("it has none")

    def heard(self, db):
        """Listens to `ears`, notifies it of `hello`, and returns what was heard."""
        raise Missing("it has none")

    def cancel(self, db):
        raise Missing("it has none")

    def recover(self, db):
        """What has to be done behind an error in autocommit."""

    # What all have in common.

    def sql(self, table="events"):
        return f"INSERT INTO {table} VALUES ({self.mark}, {self.mark})"

    def insert(self, db, id, kind="x"):
        cursor = db.cursor()
        cursor.execute(self.sql(), (id, kind))
        return cursor.rowcount

    def execute(self, db, sql, *parameters):
        cursor = db.cursor()
        cursor.execute(sql, *([parameters] if parameters else []))
        return cursor

    def fetch(self, db, sql, *parameters):
        return [row[0] for row in self.execute(db, sql, *parameters).fetchall()]


def simple(driver, db):
    plain = "INSERT INTO events VALUES (1, 'x')"
    same("simple insert", driver.execute(db, plain).rowcount, 1)


def prepared(driver, db):
    same("prepared insert", [driver.prepared(db, id) for id in (2, 3)], [1, 1])


def autocommit(driver, db):
    counts = [driver.execute(db, "INSERT INTO events VALUES (1, 'again')").rowcount]
    counts += [driver.prepared(db, 2, "again"), driver.insert(db, 2, "again")]
    same("duplicate in autocommit", counts, [0, 0, 0])


def transaction(driver, db):
    db.autocommit = False
    counts = [driver.insert(db, id) for id in (1, 10, 10, 2, 11)]
    db.commit()
    db.autocommit = True
    same("duplicate in a transaction", counts, [0, 1, 0, 0, 1])


def returning(driver, db):
    sql = driver.sql() + " RETURNING id"
    rows = [driver.fetch(db, sql, id, "x") for id in (20, 20)]
    db.autocommit = False
    rows += [driver.fetch(db, sql, id, "x") for id in (21, 21, 1)]
    db.commit()
    db.autocommit = True
    same("duplicate with RETURNING", rows, [[20], [], [21], [], []])


def several(driver, db):
    sql = f"INSERT INTO events VALUES (30, 'x'), ({driver.mark}, 'x'), (31, 'x')"
    same("duplicate among several rows", driver.execute(db, sql, 1).rowcount, 2)


def batch(driver, db):
    db.autocommit = False
    driver.batch(db, "events", BATCH)
    db.commit()
    db.autocommit = True


def batch_in_autocommit(driver, db):
    driver.execute(db, "INSERT INTO loads VALUES (5, 'x')")
    driver.batch(db, "loads", LOADS)


def copy(driver, db):
    text = "".join(f"{number}\n" for number in range(2, 10_000))
    driver.execute(db, "INSERT INTO other VALUES (1)")
    driver.copy_in(db, "COPY other FROM STDIN", text)
    same("COPY", driver.copy_out(db, "COPY (SELECT id FROM other ORDER BY id) TO STDOUT"), "1\n" + text)


def cursor(driver, db):
    db.autocommit = False
    read, counts = [], []
    for number in driver.rows(db, "SELECT generate_series(1, 100)"):
        read.append(number)
        if number % 15 == 0:
            counts += [driver.insert(db, 1), driver.insert(db, 400 + number)]
    db.commit()
    db.autocommit = True
    same("cursor", (read, counts), (list(range(1, 101)), [0, 1] * 6))


def listen(driver, db):
    same("LISTEN", driver.heard(db), "hello")


def cancel(driver, db):
    if type(driver).cancel is Driver.cancel:
        driver.cancel(db)
    watcher = driver.connect()
    problems = []

    def run():
        try:
            wait_until("asleep", lambda: driver.fetch(watcher, ASLEEP) == [1])
            driver.cancel(db)
        except BaseException as problem:
            problems.append(problem)
            driver.execute(watcher, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                                    " WHERE wait_event = 'PgSleep'")

    thread = threading.Thread(target=run)
    thread.start()
    try:
        fails("cancel", "57014", lambda: driver.execute(db, "SELECT pg_sleep(60)"))
    finally:
        thread.join()
        for problem in problems:
            raise problem
    watcher.close()
    driver.recover(db)
    same("cancel", driver.fetch(db, "SELECT 1"), [1])


def large(driver, db):
    counts = [driver.insert(db, 50, BIG), driver.insert(db, 50, "again")]
    same("large value", counts, [1, 0])
    same("large value", driver.fetch(db, "SELECT kind FROM events WHERE id = 50"), [BIG])


def error(driver, db):
    unlisted = "INSERT INTO other VALUES (1)"
    if not driver.fetch(db, "SELECT id FROM other WHERE id = 1"):
        driver.execute(db, unlisted)
    name = "error shown"
    shown = fails(name, "23505", lambda: driver.execute(db, unlisted), driver.Error)
    same(name, "other_pkey" in str(shown), True)
    driver.recover(db)
    db.autocommit = False
    same(name, driver.insert(db, 60), 1)
    fails(name, "23505", lambda: driver.execute(db, unlisted), driver.Error)
    fails(name, "25P02", lambda: driver.insert(db, 61), driver.Error)
    db.rollback()
    db.autocommit = True


def reconnect(driver, db):
    restart()
    try:
        rows = driver.fetch(db, "SELECT 1")
    except driver.Error:
        pass
    else:
        raise SystemExit(f"not ok reconnect: the session goes on with {rows}")
    db = driver.connect()
    same("reconnect", [driver.insert(db, id) for id in (1, 70)], [0, 1])


LIST = (
    ("simple insert", simple),
    ("prepared insert", prepared),
    ("duplicate in autocommit", autocommit),
    ("duplicate in a transaction", transaction),
    ("duplicate with RETURNING", returning),
    ("duplicate among several rows", several),
    ("batch in a transaction", batch),
    ("batch in autocommit", batch_in_autocommit),
    ("COPY", copy),
    ("cursor", cursor),
    ("LISTEN", listen),
    ("cancel", cancel),
    ("large value", large),
    ("error shown", error),
    ("reconnect", reconnect),
)


def run(driver):
    for user in USERS:
        db = driver.connect(user)
        same(f"login, {user}", driver.fetch(db, "SELECT current_user"), [user])
        db.close()
        logged_in(user)
    db = driver.connect()
    for name, step in LIST:
        try:
            step(driver, db)
        except Missing as why:
            missing(name, why)
        else:
            ok(name)
