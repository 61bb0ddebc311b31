"""The JSON API of jobs."""

from typing import Any
from uuid import UUID

from apiflask import APIBlueprint
from flask import Response, current_app, request, url_for

from fibapp.api.document import returns, takes
from fibapp.api.intake import Intake
from fibapp.api.jobpage import job_page
from fibapp.api.models import DEFAULT_PAGE, MAX_PAGE, BatchIn, BatchOut, JobIn, JobOut, ListQuery, PageOut, StatsOut
from fibapp.api.problems import conflict, invalid, malformed, not_found
from fibapp.api.render import wants_page
from fibapp.api.stats import Stats
from fibapp.api.strict import reads
from fibapp.jobs import CANCELLABLE, RETRYABLE, STATES, Job, State
from fibapp.store.jobs import JobStore

MAX_JOB_BYTES = 1024
MAX_BATCH_BYTES = 256 * 1024
MAX_POSITION = 2**63 - 1

blueprint = APIBlueprint("jobs", __name__, url_prefix="/api", tag={"name": "Jobs", "description": "Submit, watch, cancel and retry"})


def intake() -> Intake:
    """What accepts jobs in this application."""
    found: Intake = current_app.extensions["intake"]
    return found


def store() -> JobStore:
    """The jobs of this application."""
    found: JobStore = current_app.extensions["jobs"]
    return found


def client() -> str:
    """Who asks, as far as the network tells."""
    return request.remote_addr or "unknown"


def document(job: Job) -> dict[str, Any]:
    """The job document."""
    return job.document("/api")


def parse_id(text: str) -> UUID:
    """A job id from an address. Raises Problem."""
    try:
        value = UUID(text)
    except ValueError:
        raise malformed("A job id is a UUID such as 123e4567-e89b-12d3-a456-426614174000.", field="id") from None
    if str(value) != text.lower():
        raise malformed("A job id is a UUID in its canonical form.", field="id")
    return value


@blueprint.post("/jobs")
@reads(blueprint, JobIn, limit=MAX_JOB_BYTES)
@returns(blueprint, JobOut, status=202, description="Accepted and durable; Location is its address")
@blueprint.doc(summary="Submit one number", responses=[400, 413, 415, 422, 429, 503])
def submit(wanted: JobIn) -> Any:
    """Answered once the job is committed to the database; a worker computes it later, whatever happens to the broker meanwhile."""
    jobs, new = intake().accept([wanted], client(), request.headers.get("Idempotency-Key"))
    return document(jobs[0]), 202, _headers(new, url_for("jobs.show", job_id=jobs[0].id))


@blueprint.post("/batches")
@reads(blueprint, BatchIn, limit=MAX_BATCH_BYTES)
@returns(blueprint, BatchOut, status=202, description="All accepted and durable")
@blueprint.doc(summary="Submit many numbers at once", responses=[400, 413, 415, 422, 429, 503])
def submit_batch(wanted: BatchIn) -> Any:
    """All jobs are committed in one transaction, or none is."""
    jobs, new = intake().accept(wanted.jobs, client(), request.headers.get("Idempotency-Key"))
    return {"jobs": [document(job) for job in jobs]}, 202, _headers(new, url_for("jobs.listing"))


@blueprint.get("/jobs")
@takes(blueprint, ListQuery, "query")
@returns(blueprint, PageOut)
@blueprint.doc(
    summary="List jobs, newest first",
    responses=[422, 503],
)
def listing() -> Any:
    """Pages follow each other by `next`; the price of a page does not depend on how many jobs there are."""
    for name in request.args:
        if name not in ListQuery.model_fields:
            raise invalid(f"{name[:80]} is no parameter of this list.", field=name[:80])
    state = parse_state(request.args.get("state"))
    limit = parse_number("limit", 1, MAX_PAGE) or DEFAULT_PAGE
    page = store().page(limit=limit, before=parse_number("before", 0, MAX_POSITION), state=state)
    following = url_for("jobs.listing", before=page.next, limit=limit, state=state) if page.next is not None else None
    return {"jobs": [document(job) for job in page.jobs], "next": following}


def parse_state(text: str | None) -> State | None:
    """A state from a query. Raises Problem."""
    for state in STATES:
        if text == state:
            return state
    if text is None:
        return None
    raise invalid(f"state must be one of {', '.join(STATES)}.", field="state", value=text[:80])


def parse_number(name: str, smallest: int, largest: int) -> int | None:
    """An integer of the query, or None when it is absent. Raises Problem."""
    text = request.args.get(name)
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 20 and smallest <= int(text) <= largest:
        return int(text)
    raise invalid(f"{name} must be an integer {smallest}..{largest}.", field=name, minimum=smallest, maximum=largest, value=text[:80])


@blueprint.get("/jobs/<job_id>")
@returns(blueprint, JobOut)
@blueprint.doc(summary="Show a job", responses=[400, 404, 503])
def show(job_id: str) -> Any:
    """The job document; a browser gets a page at the same address."""
    if wants_page():
        return job_page(parse_id(job_id))
    return document(_found(job_id)), 200, {"Vary": "Accept"}


@blueprint.delete("/jobs/<job_id>")
@returns(blueprint, JobOut)
@blueprint.doc(summary="Cancel a job", responses=[400, 404, 409, 503])
def cancel(job_id: str) -> Any:
    """A queued job is cancelled at once; a running one too, and its worker stops computing within a second or two."""
    job = store().cancel(parse_id(job_id))
    if job is None:
        job = _found(job_id)
        if job.state != "cancelled":
            raise conflict(f"The job is {job.state}; only {' or '.join(CANCELLABLE)} jobs can be cancelled.", state=job.state)
    return document(job)


@blueprint.post("/jobs/<job_id>/retry")
@returns(blueprint, JobOut, status=202)
@blueprint.doc(summary="Queue a failed or cancelled job again", responses=[400, 404, 409, 503])
def retry(job_id: str) -> Any:
    """The job keeps its id and its count of attempts."""
    job = store().retry(parse_id(job_id))
    if job is None:
        job = _found(job_id)
        raise conflict(f"The job is {job.state}; only {' or '.join(RETRYABLE)} jobs can be retried.", state=job.state)
    current_app.extensions["notifier"].accepted()
    return document(job), 202, {"Location": url_for("jobs.show", job_id=job.id)}


@blueprint.get("/jobs/<job_id>/result")
@blueprint.doc(
    summary="The whole number in decimal", responses={200: "The digits", 400: "Malformed id", 404: "No such job", 409: "Not done"}
)
def result(job_id: str) -> Response:
    """Plain text, however long."""
    found = store().result(parse_id(job_id))
    if found is None:
        raise not_found(f"There is no job {job_id}.")
    state, digits = found
    if digits is None:
        raise conflict(f"The job is {state}; only a done job has a result.", state=state)
    return Response(digits + "\n", mimetype="text/plain")


@blueprint.get("/stats")
@returns(blueprint, StatsOut)
@blueprint.doc(summary="Jobs by state, why there are so many workers, and what a job costs", responses=[503])
def stats() -> Any:
    """The counts may be a second old, the costs a minute."""
    counter: Stats = current_app.extensions["stats"]
    return counter.document()


def _found(job_id: str) -> Job:
    job = store().find(parse_id(job_id))
    if job is None:
        raise not_found(f"There is no job {job_id}.")
    return job


def _headers(new: bool, location: str) -> dict[str, str]:
    return {"Location": location} if new else {"Location": location, "Idempotency-Replayed": "true"}
