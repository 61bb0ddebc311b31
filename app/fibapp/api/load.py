"""The operator's questions on the internal port: what the load is, and what shall be shown of its decision.

`GET /load?since=VERSION&wait=SECONDS`: `since` is the version of the load that the operator knows (none: answered at once), `wait` how many
seconds to wait for a material change (0 to 600). Answered is {version, queued, running, seconds, running_seconds, oldest_wait_seconds,
busy: {pod: {jobs, remaining_seconds}}, broker, decision}, at once when it is news, otherwise after the wait. Seconds are those of one
worker process; a job whose worker was lost counts as queued; a job's wait begins with its submission. `broker` is null, or {cause, words}:
what keeps the broker from taking messages, cause being unreachable, alarm or refused. `decision` is the one that is kept here, or
null: by it the operator sees that a push was lost. As long as its question waits, the operator is there and its decision holds.

`PUT /scaling` with {workers, floor, min, max, sentence, at} keeps a decision; 204. API pods hold no token for the API server: what the page
tells of scaling came this way.

`POST /load` {seen, wait, decision} is both in one, with a wait of at most 60 s: operators of release 0.1 ask so.

Errors are problem documents: 400 and 422 for a malformed question, 429 when too many wait, 503 while the database is away. A version means
the same to every API pod, so any of them may be asked next.
"""

import json
import logging
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from fibapp.api.learner import Learner
from fibapp.api.problems import MEDIA_TYPE, Problem, store_away
from fibapp.api.strict import parse, validate
from fibapp.api.watch import Crowded, HungUp, Watch
from fibapp.httpd import Answer, Handle, Request
from fibapp.load import measure
from fibapp.store import Database, StoreAway
from fibapp.store.broker_errors import BrokerErrorStore
from fibapp.store.load import FRESH_SECONDS, Decision, LoadStore
from fibapp.store.wakeup import Listener

logger = logging.getLogger(__name__)

PATH = "/load"
SCALING_PATH = "/scaling"
MAX_WAIT_SECONDS = 600
MAX_OLD_WAIT_SECONDS = 60
MAX_WORKERS = 1_000_000


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError("must be a time such as 2026-01-02T03:04:05Z")
    return value


Workers = Annotated[int, Field(ge=0, le=MAX_WORKERS)]


class DecisionIn(BaseModel):
    """What the operator decided last."""

    model_config = ConfigDict(strict=True)  # a newer operator may send more

    workers: Workers
    floor: Workers
    min: Workers
    max: Workers
    sentence: Annotated[str, Field(min_length=1, max_length=1000, pattern=r"^[^\x00-\x1f\x7f]+$")]
    at: Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text)]


class Asked(BaseModel):
    """The query of a question."""

    since: Annotated[str, Field(max_length=200)] | None = None
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS, allow_inf_nan=False)] = 0


class LoadIn(BaseModel):
    """What an operator of release 0.1 asks."""

    model_config = ConfigDict(strict=True)  # a newer operator may send more

    seen: Annotated[str, Field(max_length=200)] | None
    wait: Annotated[float, Field(ge=0, le=MAX_OLD_WAIT_SECONDS)]
    decision: DecisionIn | None


class LoadRoute:
    """Answers the operator. Called on threads of the internal server."""

    def __init__(self, database: Database, store: LoadStore, learner: Learner) -> None:
        self._store = store
        self._learner = learner
        broker_errors = BrokerErrorStore(database)
        self._watch = Watch(lambda: measure(store.work(), learner.costs(), broker_errors.lasting()), Listener(database))

    def handlers(self) -> dict[tuple[str, str], Handle]:
        """What answers which method and path."""
        return {
            ("GET", PATH): lambda request: _answer(PATH, lambda: self._ask(request)),
            ("PUT", SCALING_PATH): lambda request: _answer(SCALING_PATH, lambda: self._decide(request)),
            ("POST", PATH): lambda request: _answer(PATH, lambda: self._ask_and_decide(request)),
        }

    def _ask(self, request: Request) -> Answer:
        asked = validate(Asked, request.query)
        confirmed = 0.0

        def is_there() -> bool:
            nonlocal confirmed
            there = request.is_open()
            if there and (confirmed == 0 or time.monotonic() - confirmed >= FRESH_SECONDS):
                confirmed = time.monotonic()
                self._store.confirm()
            return there

        load = self._watch.wait(asked.since, asked.wait, is_there).document()
        decision = self._store.decision()
        kept = {**asdict(decision), "at": decision.at.isoformat()} if decision else None
        return _json(200, "application/json", {**load, "decision": kept})

    def _decide(self, request: Request) -> Answer:
        self._store.note(Decision(**validate(DecisionIn, parse(request.body)).model_dump()))
        return 204, "application/json", b""

    def _ask_and_decide(self, request: Request) -> Answer:
        asked = validate(LoadIn, parse(request.body))
        if asked.decision is not None:
            self._store.note(Decision(**asked.decision.model_dump()))
        return _json(200, "application/json", self._watch.wait(asked.seen, asked.wait, request.is_open).document())


def _answer(path: str, answer: Callable[[], Answer]) -> Answer:
    """The answer, or a problem document when there is none."""
    try:
        return answer()
    except Problem as problem:
        return _problem(path, problem)
    except StoreAway as error:
        logger.warning("answering 503 to the operator: %s", error)
        return _problem(path, store_away())
    except Crowded:
        return _problem(path, Problem(429, "Too many requests", "Too many requests wait for the load already."))
    except HungUp:
        return _problem(path, Problem(408, "Request timeout", "Nobody waits for the answer any more."))


def _problem(path: str, problem: Problem) -> Answer:
    return _json(problem.status, MEDIA_TYPE, problem.document(path))


def _json(status: int, kind: str, document: dict[str, Any]) -> Answer:
    return status, kind, json.dumps(document).encode() + b"\n"
