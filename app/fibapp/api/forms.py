"""The page's forms: a job, a burst of jobs, or a wish about a job; and the page around them, with what was wrong."""

from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from apiflask import APIBlueprint
from flask import Response, make_response, redirect, render_template, request, url_for

from fibapp.api import jobs, render
from fibapp.api.jobs import MAX_JOB_BYTES, MAX_POSITION, client, intake, parse_number, parse_state
from fibapp.api.models import JobIn
from fibapp.api.problems import Problem, invalid, store_away
from fibapp.api.strict import validate
from fibapp.costs import Costs
from fibapp.jobs import ALGORITHMS, Algorithm, Bounds, State
from fibapp.store import StoreAway

MAX_FORM_DIGITS = 12
BURST_JOBS = 200
BURST_SECONDS = 1.0
"""Each job of a burst takes about this long: enough of them keep several workers busy for a minute."""

blueprint = APIBlueprint("forms", __name__, enable_openapi=False)


@dataclass(frozen=True, slots=True)
class Form:
    """What stands in the form, what was accepted before it, and what is wrong with it."""

    n: str
    algorithm: Algorithm
    accepted: int = 0
    problem: Problem | None = None


@blueprint.post("/api/")
def submit() -> Any:
    """Accept the job and show the page again, so that a reload does not submit twice."""
    request.max_content_length = MAX_JOB_BYTES
    n, algorithm = request.form.get("n", "").strip(), request.form.get("algorithm", "recursive")
    return _accept([(n, algorithm)], n, algorithm)


@blueprint.post("/api/burst")
def burst() -> Any:
    """Accept many jobs of about a second each."""
    request.max_content_length = MAX_JOB_BYTES
    n = request.form.get("burst_n", "").strip()
    return _accept([(n, "recursive")] * burst_size(), request.form.get("n", "").strip(), request.form.get("algorithm", "recursive"))


@blueprint.post("/api/jobs/<job_id>/<any(cancel, retry):action>-form")
def act(job_id: str, action: str) -> Any:
    """The buttons of a job."""
    if action == "cancel":
        jobs.cancel(job_id)
    else:
        jobs.retry(job_id)
    render.shared().forget()
    if request.args.get("back") == "job":
        return redirect(url_for("jobs.show", job_id=job_id), 303)
    return redirect(url_for("page.show", **_query()), 303)


def blank() -> Form:
    """The form as the address asks for it: without scripts this is how to learn what a job will cost."""
    algorithm = _algorithm(request.args.get("algorithm"))
    n = request.args.get("n", "30")[:MAX_FORM_DIGITS].strip()
    accepted = request.args.get("accepted", "")
    form = Form(n, algorithm, int(accepted) if accepted.isascii() and accepted.isdigit() and len(accepted) < 6 else 0)
    if "n" not in request.args:
        return form
    try:
        _check(n, algorithm)
    except Problem as problem:
        return Form(n, algorithm, problem=problem)
    return form


def whole(form: Form) -> Response:
    """The page around `form`, also while the store is away."""
    problem = form.problem
    try:
        content: dict[str, Any] = {"pieces": render.pieces(*place()), "watched": url_for("page.live", **_query())}
    except StoreAway:
        content, problem = {"pieces": None}, problem or store_away()
    response = make_response(render_template("page.html", **_values(form), **content), problem.status if problem else 200)
    response.headers.update(problem.headers if problem else {})
    return response


def place() -> tuple[State | None, int | None]:
    """Which jobs the address asks for: their state, and where the list begins. Raises Problem."""
    return parse_state(request.args.get("state") or None), parse_number("before", 0, MAX_POSITION)


def _query() -> dict[str, Any]:
    return {name: request.args[name] for name in ("state", "before") if request.args.get(name)}


def _values(form: Form) -> dict[str, Any]:
    bounds, costs = intake().bounds, render.overview().costs()
    burst_n = costs.recursive_n(BURST_SECONDS, bounds.recursive)
    return {
        "form": form,
        "problem": form.problem,
        "bounds": bounds,
        "algorithms": ALGORITHMS,
        "cost": _cost(form, costs, bounds),
        "costs": costs.document(),
        "measured": costs.measured(form.algorithm),
        "burst": {"jobs": burst_size(), "n": burst_n, "each": costs.seconds("recursive", burst_n)},
        "token": uuid4(),
    }


def burst_size() -> int:
    """How many jobs a burst has."""
    return min(BURST_JOBS, intake().max_batch)


def _accept(wanted: list[tuple[str, str]], n: str, algorithm: str) -> Any:
    try:
        checked = [_check(*wanted[0])] * len(wanted)
        stored, _ = intake().accept(checked, client(), request.form.get("token") or None)
    except StoreAway:
        return whole(Form(n, _algorithm(algorithm), problem=store_away()))
    except Problem as problem:
        return whole(Form(n, _algorithm(algorithm), problem=problem))
    render.shared().forget()
    return redirect(url_for("page.show", n=n or None, algorithm=algorithm, accepted=len(stored)), 303)


def _check(n: str, algorithm: str) -> JobIn:
    if not n:
        raise invalid("Enter a whole number.", field="n")
    wanted = validate(JobIn, {"n": _integer(n), "algorithm": algorithm})
    intake().check_bounds(wanted)
    return wanted


def _integer(text: str) -> Any:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdigit() and len(digits) <= MAX_FORM_DIGITS else text


def _algorithm(text: str | None) -> Algorithm:
    return next((each for each in ALGORITHMS if each == text), "recursive")


def _cost(form: Form, costs: Costs, bounds: Bounds) -> float | None:
    n = _integer(form.n)
    return costs.seconds(form.algorithm, n) if isinstance(n, int) and 0 <= n <= bounds.largest(form.algorithm) else None
