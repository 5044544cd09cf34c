"""What an ORM makes of a duplicate, in words that are the same for each: see README.md. The
databases, one for each kind of rule, are in TOLD."""

import os
import sys
import traceback

import psycopg2

from checks import sqlstate_of

DATABASES = os.environ["TOLD"].split()


def stored(database, sql):
    """The rows that the server itself gives, past the proxy."""
    at = {"host": os.environ["SERVER_HOST"], "port": os.environ["SERVER_PORT"]}
    db = psycopg2.connect(dbname=database, **at)
    with db, db.cursor() as cursor:
        cursor.execute(sql)
        rows = cursor.fetchall() if cursor.description else None
    db.close()
    return rows


def whose(database, emails, objects):
    """Whose keys the objects have: one for each of these, in their order, or fewer."""
    ids = dict(stored(database, "SELECT email, id FROM customers"))

    def of(one, email):
        if one.id is None:
            return "**no key**"
        if one.id == ids.get(email):
            return "the row's key"
        return "**keys of other rows**" if one.id in ids.values() else "**a key of no row**"

    in_order = len(objects) == len(emails)
    each = [of(one, emails[place] if in_order else one.email) for place, one in enumerate(objects)]
    for worst in ("**keys of other rows**", "**a key of no row**", "**no key**"):
        if worst in each:
            return worst
    return "fewer objects" if len(each) < len(emails) else "the row's key"


def outcome(call, look):
    """Says what came of a call: the error, or what `look` finds."""
    try:
        result = call()
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return "23505" if sqlstate_of(error) == "23505" else f"`{type(error).__name__}`"
    return look(result)


def changed(database):
    [(name,)] = stored(database, "SELECT name FROM customers WHERE email = 'a'")
    return "changes the row" if name == "changed" else "**no row, and no error**"


def tell(database, orm):
    """The list, with the ORM's own ways to do each."""

    def say(what, text):
        print(f"{database} {what}: {text}", flush=True)

    stored(
        database,
        """TRUNCATE customers, countries, invoices; INSERT INTO countries VALUES ('de', 'first');
        INSERT INTO customers (email, name) VALUES ('a', 'first'), ('b', 'first')""",
    )
    made = []
    one = outcome(
        lambda: made.append(orm.one(email="a", name="second")),
        lambda _: whose(database, "a", made),
    )
    say("one", one)
    update = outcome(lambda: orm.update(made[0]), lambda _: changed(database)) if made else ""
    say("update", update)
    emails = "dbeaf"
    rows = [{"email": email, "name": "several"} for email in emails]
    several = outcome(lambda: orm.several(rows), lambda objects: whose(database, emails, objects))
    new = "SELECT count(*) FROM customers WHERE email IN ('d', 'e', 'f')"
    [(there,)] = stored(database, new)
    if there and several.startswith("`"):
        several += f", and {there} of 3 new rows are stored"
    say("several", several)
    own = {"id": 1000, "email": "a", "name": "own"}
    say("own", outcome(lambda: orm.own(**own), lambda one: whose(database, "a", [one])))
    say("natural", outcome(lambda: orm.natural(code="de", name="second"), lambda _: "success"))
