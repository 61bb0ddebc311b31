"""The schema of the database, as Alembic revisions; `run` brings a database to the newest."""
