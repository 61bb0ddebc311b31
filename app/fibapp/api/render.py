"""From what was seen to HTML: the pieces that all watchers share, and answers that say nothing when nothing changed."""

from flask import Flask, Response, current_app, render_template, request
from markupsafe import Markup

from fibapp import words
from fibapp.api.compress import takes_gzip
from fibapp.api.overview import MOST_CARDS, Overview, Seen, resting, tiles
from fibapp.api.problems import Problem
from fibapp.api.shared import Answer, Shared
from fibapp.jobs import CANCELLABLE, RETRYABLE, STATES, State
from fibapp.store.jobs import JobStore

ROWS = 25
ICONS = {"queued": "◷", "running": "▶", "done": "✓", "failed": "✕", "cancelled": "⊘"}


def install(app: Flask) -> None:
    """Let the templates of `app` use its words."""
    templates = app.jinja_env
    templates.trim_blocks = templates.lstrip_blocks = True
    templates.filters.update(span=words.span, number=words.number, plural=words.plural, clock=words.clock, desk=words.desk)
    templates.globals.update(icons=ICONS, states=STATES, cancellable=CANCELLABLE, retryable=RETRYABLE, name=app.config["PIPELINE_NAME"])


def overview() -> Overview:
    """The view of this application's pipeline."""
    found: Overview = current_app.extensions["overview"]
    return found


def shared() -> Shared:
    """The answers of this application."""
    found: Shared = current_app.extensions["shared"]
    return found


def live(state: State | None, before: int | None) -> Answer:
    """The pieces of the page that change by themselves. Raises StoreAway."""
    return shared().get((state, before), lambda: _render(state, before))


def pieces(state: State | None, before: int | None) -> dict[str, Markup]:
    """The same pieces by name and made now, to be put into a whole page: who submits sees it. Raises StoreAway."""
    names = ("summary", "list")
    parts = _render(state, before).split("<!--piece-->")
    return {name: Markup(part) for name, part in zip(names, parts[1:], strict=True)}  # noqa: S704  rendered by us


def respond(answer: Answer) -> Response:
    """`answer` for the present request: compressed if it may be, 304 if the client has it."""
    packed = takes_gzip()
    response = Response(answer.packed if packed else answer.body, mimetype="text/html")
    if packed:
        response.headers["Content-Encoding"] = "gzip"
    response.headers["Cache-Control"] = "no-cache"
    response.vary.update(("Accept", "Accept-Encoding"))
    response.set_etag(answer.etag, weak=True)
    response.make_conditional(request)
    return response


def wants_page() -> bool:
    """Does a person ask, with a browser?"""
    return request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html"


def problem_for_people(problem: Problem) -> Response | None:
    """`problem` as a page; None when a program asked."""
    if not wants_page():
        return None
    return Response(render_template("problem.html", problem=problem), problem.status, problem.headers, mimetype="text/html")


def _render(state: State | None, before: int | None) -> str:
    return render_template("live.html", **_live(state, before))


def _live(state: State | None, before: int | None) -> dict[str, object]:
    seen: Seen = overview().see()
    jobs: JobStore = current_app.extensions["jobs"]
    page = jobs.page(limit=ROWS, before=before, state=state)
    free = resting(seen)
    shown = seen.computing[:MOST_CARDS]
    return {
        "seen": seen,
        "tiles": tiles(seen),
        "computing": shown,
        "resting": min(free, MOST_CARDS - len(shown)),
        "unshown": len(seen.computing) + free - len(shown) - min(free, MOST_CARDS - len(shown)),
        "jobs": [job.document() for job in page.jobs],
        "next": page.next,
        "state": state,
        "before": before,
    }
