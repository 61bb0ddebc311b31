"""Logs: one JSON object a line on standard error, for people with `kubectl logs` and for collectors alike."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure(level: str, role: str) -> None:
    """Send this process's logs to standard error as JSON, each line naming its `role`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        JsonFormatter(
            "%(asctime)s %(levelname)s %(name)s %(message)s",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            static_fields={"role": role},
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Alembic's and kombu's chatter helps nobody at INFO.
    for noisy in ("alembic.runtime.plugins", "alembic.runtime.migration", "kombu", "amqp"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
