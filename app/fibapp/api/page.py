"""The page at /api/: a form and the list of jobs, rendered here; without JavaScript it works, with it it is live."""

from typing import Any
from uuid import uuid4

from apiflask import APIBlueprint
from flask import Response, current_app, make_response, redirect, render_template, request, url_for
from werkzeug.wrappers import Response as BaseResponse

from fibapp.api.jobs import MAX_JOB_BYTES, MAX_POSITION, client, intake, parse_number, parse_state, store
from fibapp.api.models import JobIn
from fibapp.api.problems import Problem, not_found, store_away
from fibapp.api.strict import validate
from fibapp.jobs import CANCELLABLE, RETRYABLE, STATES
from fibapp.store import StoreAway

ROWS = 25
MAX_FORM_DIGITS = 12

blueprint = APIBlueprint("page", __name__, enable_openapi=False)


@blueprint.get("/")
def root() -> BaseResponse:
    """The page lives under /api."""
    return redirect(url_for("page.show"), 302)


@blueprint.get("/api/")
def show() -> Any:
    """The page."""
    return _render()


@blueprint.post("/api/")
def submit() -> Any:
    """The form: accept the job and show the page again, so that a reload does not submit twice."""
    request.max_content_length = MAX_JOB_BYTES
    n, algorithm = request.form.get("n", "").strip(), request.form.get("algorithm", "recursive")
    try:
        wanted = validate(JobIn, {"n": _integer(n), "algorithm": algorithm})
        intake().accept([wanted], client(), request.form.get("token") or None)
    except StoreAway:
        return _render(store_away(), n, algorithm)
    except Problem as problem:
        return _render(problem, n, algorithm)
    return redirect(url_for("page.show"), 303)


@blueprint.get("/api/live")
def live() -> Any:
    """The part of the page that changes by itself."""
    return render_template("live.html", **_live())


@blueprint.post("/api/jobs/<job_id>/<any(cancel, retry):action>-form")
def act(job_id: str, action: str) -> Any:
    """The buttons of the list."""
    from fibapp.api import jobs

    if action == "cancel":
        jobs.cancel(job_id)
    else:
        jobs.retry(job_id)
    return redirect(url_for("page.show"), 303)


@blueprint.get("/api/docs")
def docs() -> Any:
    """The API document, for people."""
    response = make_response(render_template("docs.html", name=current_app.config["PIPELINE_NAME"]))
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


def _integer(text: str) -> Any:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= MAX_FORM_DIGITS else text


def _live() -> dict[str, Any]:
    state = parse_state(request.args.get("state") or None)
    before = parse_number("before", 0, MAX_POSITION)
    page = store().page(limit=ROWS, before=before, state=state)
    return {
        "counts": current_app.extensions["stats"].counts(),
        "jobs": [job.document() for job in page.jobs],
        "next": page.next,
        "state": state,
        "before": before,
        "states": STATES,
        "cancellable": CANCELLABLE,
        "retryable": RETRYABLE,
    }


def _render(problem: Problem | None = None, n: str = "", algorithm: str = "recursive") -> Response:
    status = problem.status if problem else 200
    try:
        content = _live()
    except StoreAway:
        content, problem = {}, problem or store_away()
        status = problem.status
    page = render_template(
        "page.html",
        name=current_app.config["PIPELINE_NAME"],
        bounds=intake().bounds,
        problem=problem,
        n=n,
        algorithm=algorithm,
        token=uuid4(),
        **content,
    )
    return make_response(page, status, problem.headers if problem else {})
