"""The operator with its long waits cut to a second or two, so that tests need not sit them out. Nothing else differs."""

from typing import Any

import kopf

from fiboperator import __main__, connection, deafness, reconcile, watches

SECONDS = 2.0


@kopf.on.startup()  # after the operator's own
async def shorten(settings: kopf.OperatorSettings, **_: Any) -> None:
    """kopf's watch on the pipelines."""
    settings.watching.inactivity_timeout = SECONDS


if __name__ == "__main__":
    for module, name in (
        (connection, "WATCH_SILENCE_SECONDS"),
        (connection, "REQUEST_TIMEOUT_SECONDS"),
        (watches, "BACKOFF_CAP_SECONDS"),
        (deafness, "LOOK_SECONDS"),
        (deafness, "LOOK_AGAIN_SECONDS"),
        (deafness, "UNDER_WAY_SECONDS"),
        (reconcile, "SLOW_RETRY_SECONDS"),
    ):
        assert getattr(module, name) > SECONDS
        setattr(module, name, SECONDS)
    __main__.run()
