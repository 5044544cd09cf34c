"""A key, and a column ahead of it: neither is there if the rows do not allow the key."""

import sqlalchemy as sa
from alembic import op

revision = "3"
down_revision = "2"


def upgrade():
    op.add_column("customers", sa.Column("note", sa.Text))
    op.create_index("customers_name_key", "customers", ["name"], unique=True)


def downgrade():
    op.drop_index("customers_name_key", "customers")
    op.drop_column("customers", "note")
