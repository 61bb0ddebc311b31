"""The last error of each relay that cannot publish."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE IF NOT EXISTS broker_errors (
    relay text PRIMARY KEY,
    cause text NOT NULL,
    words text NOT NULL,
    -- By the database's own clock, like `scaling.noted_at`.
    since timestamptz NOT NULL DEFAULT now(),
    noted_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop it."""
    op.execute("DROP TABLE broker_errors")
