"""Tables, and rows."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None


def upgrade():
    customers = op.create_table(
        "customers",
        sa.Column("id", sa.Integer, sa.Identity(), primary_key=True),
        sa.Column("email", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
    )
    op.create_unique_constraint("customers_email_key", "customers", ["email"])
    op.bulk_insert(customers, [{"email": email, "name": "same"} for email in "abc"])


def downgrade():
    op.drop_table("customers")
