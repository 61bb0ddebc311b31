"""The page of one job, at the job's own address."""

from typing import Any
from uuid import UUID

from flask import Response, current_app, render_template

from fibapp.api.learner import Learner
from fibapp.api.problems import not_found
from fibapp.api.render import respond
from fibapp.api.shared import answer
from fibapp.store.view import Details, ViewStore
from fibapp.timeline import timeline


def job_page(job_id: UUID) -> Response:
    """The job, for a person. Raises Problem, StoreAway."""
    views: ViewStore = current_app.extensions["views"]
    details = views.details(job_id)
    if details is None:
        raise not_found(f"There is no job {job_id}.")
    return respond(answer(render_template("job.html", **_content(details))))


def _content(details: Details) -> dict[str, Any]:
    learner: Learner = current_app.extensions["learner"]
    job = details.job
    return {
        "job": job.document(),
        "steps": timeline(details),
        "details": details,
        "expected": learner.costs().seconds(job.algorithm, job.n),
    }
