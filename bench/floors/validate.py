"""A Flask application that reads and checks the JSON of a job, answers 202 and stores nothing."""

from typing import Any

from flask import Flask, request

app = Flask(__name__)


@app.post("/api/jobs")
def submit() -> Any:
    """Check n."""
    n = request.get_json().get("n")
    if type(n) is not int or not 0 <= n <= 40:
        return {"detail": "n must be an integer 0..40"}, 422
    return {"n": n, "state": "queued"}, 202


@app.get("/health")
def health() -> Any:
    """Is the process there?"""
    return {}
