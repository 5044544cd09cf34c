"""Rows, some of which are there."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"

customers = sa.table("customers", sa.column("email"), sa.column("name"))


def upgrade():
    op.bulk_insert(customers, [{"email": email, "name": "again"} for email in "adb"])
    op.execute(customers.insert().values(email="c", name="again"))


def downgrade():
    op.execute(customers.delete().where(customers.c.email == "d"))
