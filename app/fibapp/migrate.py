"""Role `migrate`: bring the schema up to date, once, however many pods start together."""

import logging
import time
from pathlib import Path

import psycopg2
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, create_engine, exc, make_url, text

from fibapp.migrations import TABLES
from fibapp.settings import Settings

logger = logging.getLogger(__name__)

LOCK = 0x666962
"""The advisory lock that makes migrations take turns."""
RETRY_SECONDS = 1.0
REFUSED_SECONDS = 30.0
"""A server that cannot be reached, starts or is full is waited for. One that does not admit us for so long is reported, by ending with its
words: they become the container's termination message, which the operator puts into the status. In less, the pipeline's own PostgreSQL
makes a lost role or database again."""
_REFUSALS = ("authentication failed", "does not exist", "not permitted", "no pg_hba.conf entry", "permission denied")
LOST = text("SELECT 1 FROM unnest(CAST(:tables AS text[])) AS name WHERE to_regclass(name) IS NULL")
"""Finds tables that are missing although Alembic's own says that they were made."""


def migrate(url: str) -> None:
    """Run the missing revisions. Raises sqlalchemy's OperationalError while the database is not there."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg2"), hide_parameters=True, connect_args={"connect_timeout": 5})
    try:
        _upgrade(engine)
    finally:
        engine.dispose()


def _upgrade(engine: Engine) -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")))
    with engine.connect() as connection:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        # The lock belongs to the session and outlives this commit; without it Alembic would find a transaction that it does not own.
        connection.commit()
        try:
            config.attributes["connection"] = connection
            if connection.execute(text("SELECT current_schema() IS NULL")).scalar_one():
                connection.execute(text("CREATE SCHEMA public"))
            command.upgrade(config, "head")
            if connection.execute(LOST, {"tables": list(TABLES)}).first():
                command.stamp(config, "base")
                command.upgrade(config, "head")
            connection.commit()
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})


def run(settings: Settings) -> None:
    """Migrate, waiting for a database that is not there yet; says what it waits for. Raises SystemExit when it does not admit us."""
    url = make_url(settings.database_url.get_secret_value())
    said, refused_since = "", 0.0
    while True:
        try:
            migrate(settings.database_url.get_secret_value())
        except exc.OperationalError as error:
            reason = _first_line(error)
            if reason != said:
                logger.info("waiting for the database at %s:%s: %s", url.host, url.port or 5432, reason)
                said = reason
            refused = any(phrase in reason for phrase in _REFUSALS)
            refused_since = (refused_since or time.monotonic()) if refused else 0.0
            if refused and time.monotonic() - refused_since >= REFUSED_SECONDS:
                raise SystemExit(f"the database does not admit the pipeline: {reason}") from None
            time.sleep(RETRY_SECONDS)
        else:
            logger.info("the schema is up to date")
            return


def _first_line(error: exc.OperationalError) -> str:
    cause = error.orig if isinstance(error.orig, psycopg2.Error) else error
    return str(cause).strip().splitlines()[0] if str(cause).strip() else type(cause).__name__
