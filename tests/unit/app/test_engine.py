"""What the driver raises never leaves the store as it is."""

import threading
from typing import Any
from unittest.mock import MagicMock

import psycopg2
import pytest
from sqlalchemy import exc
from sqlalchemy.engine import Engine

from fibapp.api.schema import SchemaRepair
from fibapp.store import Database, SchemaMissing, StoreAway
from tests.waiting import eventually


@pytest.mark.parametrize("error", [psycopg2.OperationalError, psycopg2.InterfaceError])
def test_a_server_that_dies_while_a_listener_begins_is_away(error: type[psycopg2.Error], monkeypatch: pytest.MonkeyPatch) -> None:
    pooled: Any = MagicMock()
    cursor = pooled.driver_connection.cursor.return_value.__enter__.return_value
    cursor.execute.side_effect = error("FATAL: terminating connection due to unexpected postmaster exit")
    monkeypatch.setattr(Engine, "raw_connection", lambda _engine: pooled)
    database = Database("postgresql://fib:secret@localhost/fib", role="relay", connections=1, timeout=1.0)
    with pytest.raises(StoreAway, match="the database is out of reach"):
        database.listen("fib_jobs")
    pooled.driver_connection.close.assert_called_once()


def test_a_missing_table_is_a_missing_schema_and_not_a_server_that_is_away() -> None:
    database = Database("postgresql://fib:secret@localhost/fib", role="api", connections=1, timeout=1.0)
    error = exc.ProgrammingError("SELECT", {}, psycopg2.errors.UndefinedTable('relation "jobs" does not exist'))
    database._engine = MagicMock()
    database._engine.connect.side_effect = error
    with pytest.raises(SchemaMissing), database.connection():
        pass


def test_one_migration_runs_at_a_time_and_a_failed_one_is_tried_again() -> None:
    begun, go = threading.Semaphore(0), threading.Event()

    def migrate() -> int:
        begun.release()
        assert go.wait(10)
        return 1

    repair = SchemaRepair(migrate)
    repair.start()
    assert begun.acquire(timeout=10)
    repair.start()
    assert not begun.acquire(timeout=0.05), "one at a time"
    go.set()

    def again() -> bool:
        repair.start()
        return begun.acquire(timeout=0.01)

    eventually(again, "another migration after the failed one", 10, 0.01)
