"""Liveness and readiness: the process lives whatever happens to the database, but it serves only with it."""

from apiflask import APIBlueprint
from flask import Response

from fibapp.api.jobs import store

blueprint = APIBlueprint("health", __name__, url_prefix="/api", tag={"name": "Health", "description": "For the cluster"})


@blueprint.get("/healthz")
@blueprint.doc(summary="Is the process alive?")
def healthz() -> Response:
    """Asks nobody else: a restart would not bring a database back."""
    return Response("ok\n", mimetype="text/plain")


@blueprint.get("/readyz")
@blueprint.doc(summary="Can jobs be accepted?", responses=[503])
def readyz() -> Response:
    """200 while the database answers and has its schema; the broker is not needed to accept jobs."""
    store().ping()
    return Response("ok\n", mimetype="text/plain")
