"""Migrating again while the API runs: a database may come back empty, or from the backup of an older release."""

import logging
import subprocess
import sys
import threading
from collections.abc import Callable

logger = logging.getLogger(__name__)


def _migrate() -> int:
    # In a process of its own: this one bounds each wait for the database, and a migration may take longer.
    return subprocess.run([sys.executable, "-m", "fibapp", "migrate"], check=False).returncode


class SchemaRepair:
    """Runs the role `migrate`, once at a time. The pods' migrations take turns by its advisory lock."""

    def __init__(self, migrate: Callable[[], int] = _migrate) -> None:
        self._migrate = migrate
        self._running = threading.Lock()

    def start(self) -> None:
        """Begin a migration unless one is running; returns at once."""
        if self._running.acquire(blocking=False):
            threading.Thread(target=self._run, name="migrate", daemon=True).start()

    def _run(self) -> None:
        try:
            logger.warning("the database has no schema, or an older one: migrating it")
            if status := self._migrate():
                logger.error("the migration ended with status %d; it is tried again when the schema is next needed", status)
        finally:
            self._running.release()
