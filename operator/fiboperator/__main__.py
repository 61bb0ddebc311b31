"""`python -m fiboperator`: run the operator, for all namespaces or for those in FIBPIPELINE_NAMESPACES."""

import asyncio
import gc
import logging
import os
from contextlib import suppress

import kopf
import uvloop

from . import main  # noqa: F401 - registers the handlers
from .scope import Scope


def run() -> None:
    """Run until a signal ends it."""
    kopf.configure(log_format=kopf.LogFormat.JSON if os.environ.get("FIBPIPELINE_LOG_FORMAT") == "json" else kopf.LogFormat.FULL)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for each event otherwise
    # An event is hundreds of objects that die young and without cycles: to look for cycles among each 700 takes a tenth of the time.
    gc.set_threshold(20_000, 20, 50)
    scope = Scope.of(os.environ)
    operator = kopf.operator(
        standalone=True,
        clusterwide=scope.clusterwide,
        namespaces=scope.namespaces,
    )
    with suppress(asyncio.CancelledError):
        uvloop.run(operator)


if __name__ == "__main__":
    run()
