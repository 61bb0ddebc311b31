"""Why relays cannot publish, stored where every API pod can read it."""

from sqlalchemy import text

from fibapp.broker import BrokerError, Cause
from fibapp.store.engine import Database, unhurried

FRESH_SECONDS = 30
"""A relay reports an error again while it lasts. One that was not reported for so long is over, or its relay is gone."""
LASTING_SECONDS = 10
"""A shorter error is that of a restart."""

MAX_CHARACTERS = 400
"""So much of the words is kept."""

RECORD = unhurried(
    """INSERT INTO broker_errors (relay, cause, words) VALUES (:relay, :cause, :words)
    ON CONFLICT (relay) DO UPDATE SET cause = excluded.cause, words = excluded.words, noted_at = now(),
        since = CASE WHEN broker_errors.noted_at < now() - :fresh * interval '1 second' THEN now() ELSE broker_errors.since END"""
)
CLEAR = unhurried("DELETE FROM broker_errors WHERE relay = :relay")
FORGET = unhurried("DELETE FROM broker_errors WHERE noted_at < now() - interval '1 hour'")
LASTING = text(
    """SELECT cause, words FROM broker_errors WHERE noted_at > now() - :fresh * interval '1 second'
    AND since < now() - :lasting * interval '1 second' ORDER BY since, relay LIMIT 1"""
)


class BrokerErrorStore:
    """The errors of relays that cannot publish. Every method may raise StoreAway."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, relay: str, error: BrokerError) -> None:
        """Record that this relay cannot publish. Repeat it while that lasts."""
        self._execute(RECORD, relay=relay, cause=error.cause.value, words=error.words[:MAX_CHARACTERS], fresh=FRESH_SECONDS)

    def clear(self, relay: str) -> None:
        """Record that this relay can publish again."""
        self._execute(CLEAR, relay=relay)

    def forget(self) -> None:
        """Delete the errors of relays that no longer exist."""
        self._execute(FORGET)

    def lasting(self) -> BrokerError | None:
        """The oldest present error, unless it is younger than a restart takes; None when every relay can publish."""
        with self._database.connection() as connection:
            row = connection.execute(LASTING, {"fresh": FRESH_SECONDS, "lasting": LASTING_SECONDS}).first()
        return BrokerError(Cause(row.cause), row.words) if row else None

    def _execute(self, statement: object, **values: object) -> None:
        with self._database.connection() as connection:
            connection.execute(statement, values)  # type: ignore[call-overload]
