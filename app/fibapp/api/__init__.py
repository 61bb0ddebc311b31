"""The Flask application: JSON API, page, documents and health, everything under /api."""

import time
from pathlib import Path

from apiflask import APIFlask
from flask import Flask, Response, g, request
from werkzeug.middleware.proxy_fix import ProxyFix

from fibapp import __version__
from fibapp.api import compress, document, forms, health, jobs, page, problems, render
from fibapp.api.intake import Intake
from fibapp.api.learner import Learner
from fibapp.api.load import LoadRoute
from fibapp.api.overview import Overview
from fibapp.api.schema import SchemaRepair
from fibapp.api.shared import Shared
from fibapp.api.stats import Stats
from fibapp.jobs import Bounds
from fibapp.metrics import REQUESTS, SECONDS
from fibapp.settings import Settings
from fibapp.store import Database
from fibapp.store.broker_errors import BrokerErrorStore
from fibapp.store.jobs import JobStore
from fibapp.store.load import LoadStore
from fibapp.store.outbox import Outbox
from fibapp.store.view import ViewStore
from fibapp.store.wakeup import Notifier

PACKAGE = Path(__file__).parent.parent

SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


def create_app(settings: Settings, database: Database) -> Flask:
    """The application over `database`; nothing is connected before the first request needs it."""
    app = APIFlask(
        __name__,
        title="FibPipeline",
        version=__version__,
        spec_path="/api/openapi.json",
        docs_path=None,
        static_folder=str(PACKAGE / "static"),
        static_url_path="/api/static",
        template_folder=str(PACKAGE / "templates"),
        json_errors=False,
    )
    app.config.update(
        MAX_CONTENT_LENGTH=jobs.MAX_BATCH_BYTES,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
        PIPELINE_NAME=settings.pipeline_name,
    )
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.url_map.strict_slashes = False
    store = JobStore(database)
    notifier = Notifier(Outbox(database, hold_seconds=0, base_seconds=0, cap_seconds=0))
    notifier.start()
    bounds = Bounds(recursive=settings.max_recursive_n, fast=settings.max_n)
    app.extensions["jobs"] = store
    app.extensions["notifier"] = notifier
    loads = LoadStore(database)
    learner = Learner(loads)
    app.extensions["load"] = LoadRoute(database, loads, learner)
    stats, views = Stats(store, loads, learner), ViewStore(database)
    overview = Overview(stats, loads, views, BrokerErrorStore(database), learner)
    app.extensions.update(stats=stats, learner=learner, views=views, shared=Shared(), overview=overview)
    app.extensions["intake"] = Intake(store, notifier, bounds, max_batch=settings.max_batch_jobs, max_queued=settings.max_queued_per_client)
    for blueprint in (jobs.blueprint, page.blueprint, forms.blueprint, health.blueprint):
        app.register_blueprint(blueprint)
    document.configure(app)
    problems.register(app, render.problem_for_people, SchemaRepair().start)
    render.install(app)
    compress.configure(app)
    _observe(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=hops)  # type: ignore[method-assign]
    return app


def _observe(app: Flask) -> None:
    @app.before_request
    def begin() -> None:
        g.begun = time.perf_counter()

    @app.after_request
    def end(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        if request.path.startswith("/api/static/"):
            return response
        response.headers.setdefault("Cache-Control", "no-store")
        endpoint = request.endpoint or "none"
        REQUESTS.labels(request.method, endpoint, response.status_code).inc()
        SECONDS.labels(endpoint).observe(time.perf_counter() - g.begun)
        return response
