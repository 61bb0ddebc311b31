"""The schema's revisions, in order, and the tables that they make.

A revision may run again on what it made (`IF NOT EXISTS`): where tables were lost but not Alembic's own, all revisions run again.
"""

from pathlib import Path

REVISIONS = sorted(file.name[:4] for file in Path(__file__).parent.glob("versions/0*.py"))
TABLES = ("jobs", "idempotency_keys", "scaling", "broker_errors")
