"""`python -m fiboperator`: run the operator, for all namespaces or for the one in FIBPIPELINE_NAMESPACE."""

import logging
import os

import kopf

from . import main  # noqa: F401 - registers the handlers

HEALTH_PORT = 8080


def run() -> None:
    """Run until a signal ends it."""
    kopf.configure(log_format=kopf.LogFormat.JSON if os.environ.get("FIBPIPELINE_LOG_FORMAT") == "json" else kopf.LogFormat.FULL)
    logging.getLogger("kopf.objects").setLevel(logging.WARNING)  # a line for each event otherwise
    namespace = os.environ.get("FIBPIPELINE_NAMESPACE")
    kopf.run(
        standalone=True,
        clusterwide=not namespace,
        namespaces=[namespace] if namespace else [],
        liveness_endpoint=f"http://0.0.0.0:{os.environ.get('FIBPIPELINE_HEALTH_PORT', HEALTH_PORT)}/healthz",
    )


if __name__ == "__main__":
    run()
