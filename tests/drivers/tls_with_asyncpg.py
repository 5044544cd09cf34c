"""Logs in over TLS, with the name in the certificate verified, as PGUSER, PGPORT and CA say."""

import asyncio
import os
import ssl

import asyncpg


async def main():
    context = ssl.create_default_context(cafile=os.environ["CA"])
    db = await asyncpg.connect(
        host="localhost",
        port=os.environ["PGPORT"],
        user=os.environ["PGUSER"],
        password="secret",
        database="postgres",
        ssl=context,
    )
    assert await db.fetchval("SELECT 1") == 1
    await db.close()
    print("ok")


asyncio.run(main())
