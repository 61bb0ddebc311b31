"""What scaling needs: the durations to learn from, and the operator's present decision."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
-- Brief jobs are not in it, so they do not pay for it.
CREATE INDEX IF NOT EXISTS jobs_measured ON jobs (algorithm, finished_at DESC) WHERE state = 'done' AND duration_ms >= 2;

CREATE TABLE IF NOT EXISTS scaling (
    -- At most one row.
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    workers integer NOT NULL,
    floor integer NOT NULL,
    min integer NOT NULL,
    max integer NOT NULL,
    sentence text NOT NULL,
    at timestamptz NOT NULL,
    -- By the database's own clock: what is too old to be shown must not depend on the operator's.
    noted_at timestamptz NOT NULL DEFAULT now()
);
"""


def upgrade() -> None:
    """Create the index and the table."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop both."""
    op.execute("DROP TABLE scaling; DROP INDEX jobs_measured")
