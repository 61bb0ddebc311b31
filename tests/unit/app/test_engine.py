"""What the driver raises never leaves the store as it is."""

from typing import Any
from unittest.mock import MagicMock

import psycopg2
import pytest
from sqlalchemy.engine import Engine

from fibapp.store import Database, StoreAway


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
