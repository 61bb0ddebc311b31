"""Connections to PostgreSQL: pooled, and never waited for longer than a given time."""

import select
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
import psycopg2.errors
import psycopg2.extensions
from sqlalchemy import Connection, TextClause, create_engine, event, exc, make_url, text


class StoreAway(Exception):
    """PostgreSQL cannot serve right now; nothing was stored by the statement that met this. Trying again later is right."""


class SchemaMissing(StoreAway):
    """The database answers, but tables are missing or those of an older release: it came back empty, or from a backup."""


def unhurried(sql: str) -> TextClause:
    """A statement that the server may forget when it crashes: its commit does not wait for the disk.

    For claims and the relay's notes only. What they lose is found again: a job that is neither claimed nor noted as published is published
    and claimed once more, and a result without its claim is refused by the guard. A result's own commit makes the claim before it durable.
    """
    return text("SET LOCAL synchronous_commit TO off; " + sql)


def bound_waits(seconds: float) -> None:
    """Let no exchange of this process with PostgreSQL, connecting included, take longer than `seconds`.

    libpq has timeouts for connecting and for lost packets, but none for a server that is frozen: its kernel goes on acknowledging.
    psycopg2 offers a hook for every wait, which is what makes a bound possible. It is one per process.
    """

    def wait(connection: Any) -> None:
        deadline = time.monotonic() + seconds
        while (state := connection.poll()) != psycopg2.extensions.POLL_OK:
            poller = select.poll()
            poller.register(connection.fileno(), select.POLLIN if state == psycopg2.extensions.POLL_READ else select.POLLOUT)
            left = deadline - time.monotonic()
            if left <= 0 or not poller.poll(left * 1000):
                raise psycopg2.OperationalError(f"no answer from the database within {seconds:g} s")

    psycopg2.extensions.set_wait_callback(wait)


class Database:
    """One pool of connections. Statements commit by themselves; `transaction` groups several."""

    def __init__(self, url: str, *, role: str, connections: int, timeout: float) -> None:
        """`connections` are kept open (the pool neither grows nor shrinks: a connection costs about 8 ms); `timeout` is in seconds."""
        bound_waits(timeout)
        self._engine = create_engine(
            # A plain postgresql:// would choose another driver in SQLAlchemy 2.1.
            make_url(url).set(drivername="postgresql+psycopg2"),
            isolation_level="AUTOCOMMIT",
            pool_size=connections,
            max_overflow=0,
            pool_timeout=timeout,
            hide_parameters=True,
            connect_args={
                "application_name": f"fib-{role}",
                "options": f"-c statement_timeout={int(timeout * 1000)} -c timezone=UTC",
                "keepalives_idle": 10,
            },
        )
        event.listen(self._engine, "checkout", _refuse_closed)
        self._transactional = self._engine.execution_options(isolation_level="READ COMMITTED")

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A connection on which every statement commits by itself. Raises StoreAway."""
        with _translated(), self._engine.connect() as connection:
            yield connection

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """A connection inside one transaction, committed at the end. Raises StoreAway."""
        with _translated(), self._transactional.begin() as connection:
            yield connection

    def listen(self, channel: str) -> Any:
        """A driver connection of its own, outside the pool, that hears notifications on `channel`. Raises StoreAway."""
        with _translated():
            pooled = self._engine.raw_connection()
            connection: Any = pooled.driver_connection
            pooled.detach()
            try:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(f'LISTEN "{channel}"')
            except psycopg2.Error:
                connection.close()
                raise
            return connection

    def close(self) -> None:
        """Give all connections back to the server."""
        self._engine.dispose()


def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
    """Let the pool drop its connections when the server has closed this one.

    A connection at rest has nothing to read but its own end. Looking for that costs a system call; SQLAlchemy's ping, a round trip.
    """
    poller = select.poll()
    poller.register(connection.fileno(), select.POLLIN)
    if poller.poll(0):
        raise exc.InvalidatePoolError("the server has closed the connection")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn what the driver raises when the server is away, full, starting or frozen into StoreAway, without any connection details."""
    away = (psycopg2.OperationalError, psycopg2.InterfaceError, psycopg2.errors.ReadOnlySqlTransaction)
    try:
        yield
    except exc.TimeoutError as error:
        raise StoreAway("all connections to the database are in use") from error
    except away as error:  # from a connection used without SQLAlchemy
        raise StoreAway(_reason(error)) from error
    except exc.DBAPIError as error:
        if isinstance(error.orig, psycopg2.errors.UndefinedTable):
            raise SchemaMissing("the database has no schema") from error
        if error.connection_invalidated or isinstance(error.orig, away):
            raise StoreAway(_reason(error.orig)) from error
        raise


def _reason(error: BaseException | None) -> str:
    """What is wrong, in words that hold no address and no credentials."""
    code = getattr(error, "pgcode", None)
    if code:
        return f"the database does not serve (SQLSTATE {code})"
    # A failed connection has no code, only a text that names host and user.
    return next((words for phrase, words in _REFUSALS.items() if phrase in str(error)), "the database is out of reach")


_REFUSALS = {
    "too many clients": "the database has no connection left",
    "remaining connection slots": "the database has no connection left",
    "too many connections": "the database has no connection left",
    "authentication failed": "the database refuses our password",
    "does not exist": "the database or our role does not exist",
    "is starting up": "the database is starting",
    "in recovery mode": "the database is recovering",
    "shutting down": "the database is shutting down",
    "no answer": "the database does not answer",
}
