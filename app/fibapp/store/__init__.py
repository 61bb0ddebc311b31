"""The store: everything that talks to PostgreSQL, and nothing that does not.

`engine` opens connections and bounds their waits; `jobs` is what the API asks, `claims` what a worker asks, `outbox` what the relay asks,
`broker_errors` why it cannot publish.
"""

from fibapp.store.engine import Database, SchemaMissing, StoreAway

__all__ = ["Database", "SchemaMissing", "StoreAway"]
