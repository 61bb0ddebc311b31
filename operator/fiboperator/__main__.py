"""`python -m fiboperator`: run the operator, for all namespaces or for the one in FIBPIPELINE_NAMESPACE."""

import asyncio
import gc
import logging
import os
from contextlib import suppress

import kopf
import uvloop

from . import main  # noqa: F401 - registers the handlers


def run() -> None:
    """Run until a signal ends it."""
    kopf.configure(log_format=kopf.LogFormat.JSON if os.environ.get("FIBPIPELINE_LOG_FORMAT") == "json" else kopf.LogFormat.FULL)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for each event otherwise
    # An event is hundreds of objects that die young and without cycles: to look for cycles among each 700 takes a tenth of the time.
    gc.set_threshold(20_000, 20, 50)
    namespace = os.environ.get("FIBPIPELINE_NAMESPACE")
    operator = kopf.operator(
        standalone=True,
        clusterwide=not namespace,
        namespaces=[namespace] if namespace else [],
    )
    with suppress(asyncio.CancelledError):
        uvloop.run(operator)


if __name__ == "__main__":
    run()
