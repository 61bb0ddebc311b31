"""Jobs, which are their own outbox, and idempotency keys."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE IF NOT EXISTS jobs (
    id uuid PRIMARY KEY,
    -- The order of acceptance: lists are paged by it.
    seq bigint GENERATED ALWAYS AS IDENTITY UNIQUE,
    n integer NOT NULL CHECK (n >= 0),
    algorithm text NOT NULL CHECK (algorithm IN ('recursive', 'fast')),
    state text NOT NULL DEFAULT 'queued' CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    result text,
    digits integer,
    error text,
    client text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    duration_ms double precision,
    worker text,
    -- The claim: who holds the token may store, until another takes over after lease_until.
    token uuid,
    lease_until timestamptz,
    attempts integer NOT NULL DEFAULT 0,
    crashes integer NOT NULL DEFAULT 0,
    -- How often a result was stored: anything but 0 or 1 would be a broken promise.
    writes integer NOT NULL DEFAULT 0,
    -- The outbox: when a message is to be published (again), NULL when never.
    due_at timestamptz DEFAULT now(),
    published_at timestamptz,
    publishes integer NOT NULL DEFAULT 0,
    CHECK ((state = 'done') = (result IS NOT NULL)),
    CHECK ((due_at IS NOT NULL) = (state IN ('queued', 'running')))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.05);
-- Long results live outside the row and uncompressed: digits hardly compress, and trying costs more than the arithmetic.
ALTER TABLE jobs ALTER COLUMN result SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS jobs_state ON jobs (state, seq DESC);
CREATE INDEX IF NOT EXISTS jobs_due ON jobs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS jobs_queued_of_client ON jobs (client) WHERE state = 'queued';

CREATE TABLE IF NOT EXISTS idempotency_keys (
    key text PRIMARY KEY,
    fingerprint text NOT NULL,
    job_ids uuid[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS idempotency_keys_age ON idempotency_keys (created_at);
"""


def upgrade() -> None:
    """Create both tables."""
    op.execute(UPGRADE)


def downgrade() -> None:
    """Drop both tables."""
    op.execute("DROP TABLE idempotency_keys; DROP TABLE jobs")
