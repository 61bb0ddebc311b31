"""The peer's Flask application: `POST /add` and a list of all jobs."""

import os
from typing import Any

from flask import Flask, request
from sqlalchemy import select
from sqlalchemy.orm import Session

from bench.peer.models import Job, database
from bench.peer.tasks import fib_job

app = Flask(__name__)
engine = database(os.environ["PEER_DATABASE_URL"])


@app.post("/add")
def add() -> Any:
    """Store a job, then hand it to Celery."""
    n = int(request.get_json()["n"])
    with Session(engine) as session:
        job = Job(n=n)
        session.add(job)
        session.commit()
        uuid = job.uuid
    fib_job.delay(uuid)
    return {"uuid": uuid}, 202


@app.get("/")
def index() -> Any:
    """All jobs, newest first."""
    with Session(engine) as session:
        jobs = session.scalars(select(Job).order_by(Job.created.desc()))
        return {"jobs": [{"uuid": job.uuid, "n": job.n, "created": job.created, "result": job.result} for job in jobs]}


@app.get("/health")
def health() -> Any:
    """Is the process there?"""
    return {}
