"""The page at /api/: rendered here and complete without JavaScript; with it, it is live."""

from typing import Any

from apiflask import APIBlueprint
from flask import Response, current_app, make_response, redirect, render_template, url_for
from werkzeug.wrappers import Response as BaseResponse

from fibapp.api import render
from fibapp.api.forms import blank, place, whole
from fibapp.api.problems import not_found

blueprint = APIBlueprint("page", __name__, enable_openapi=False)


@blueprint.get("/")
def root() -> BaseResponse:
    """The page lives under /api."""
    return redirect(url_for("page.show"), 302)


@blueprint.get("/api/")
def show() -> Any:
    """The page."""
    return whole(blank())


@blueprint.get("/api/live")
def live() -> Any:
    """The pieces of the page that change by themselves."""
    return render.respond(render.live(*place()))


@blueprint.get("/api/history")
def history() -> Any:
    """What the charts begin with: the latest minutes, as far as somebody watched."""
    render.overview().see()
    return {"points": render.overview().history.document()}


@blueprint.get("/api/docs")
def docs() -> Any:
    """The API document, for people."""
    response = make_response(render_template("docs.html"))
    # The viewer sets styles on its elements.
    response.headers["Content-Security-Policy"] = (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    )
    return response


@blueprint.get("/flower")
@blueprint.get("/flower/<path:_rest>")
def flower(_rest: str = "") -> Response:
    """Flower is another Service; without an Ingress a person may look for it here."""
    name = current_app.config["PIPELINE_NAME"]
    raise not_found(
        f"Flower is another Service. Without an Ingress: kubectl port-forward svc/{name}-flower 5555, then localhost:5555/flower/"
    )
