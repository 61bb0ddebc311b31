"""`POST /load` on the internal port: the operator asks for the load and says what it decided.

Asked is {seen, wait, decision}: the version of the load that the operator knows (null: none), how many seconds to wait for a material
change (0 to 60), and its present decision {workers, floor, min, max, sentence, at} or null. API pods hold no token for the API server:
what the page tells of scaling came this way.

Answered is {version, queued, running, seconds, running_seconds, oldest_wait_seconds, busy: {pod: {jobs, remaining_seconds}}}, at once when
it is news, otherwise after the wait. Seconds are those of one worker process; a job whose worker was lost counts as queued; a job's wait
begins with its submission. Errors are problem documents: 400 and 422 for a malformed question, 429 when too many wait, 503 while the
database is away. A version means the same to every API pod, so any of them may be asked next.
"""

import json
import logging
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from fibapp.api.learner import Learner
from fibapp.api.problems import MEDIA_TYPE, Problem, store_away
from fibapp.api.strict import parse, validate
from fibapp.api.watch import Crowded, Watch
from fibapp.httpd import Answer
from fibapp.load import measure
from fibapp.store import Database, StoreAway
from fibapp.store.load import Decision, LoadStore
from fibapp.store.wakeup import Listener

logger = logging.getLogger(__name__)

PATH = "/load"
MAX_WAIT_SECONDS = 60
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


class LoadIn(BaseModel):
    """What the operator asks."""

    model_config = ConfigDict(strict=True)  # a newer operator may send more

    seen: Annotated[str, Field(max_length=200)] | None
    wait: Annotated[float, Field(ge=0, le=MAX_WAIT_SECONDS)]
    decision: DecisionIn | None


class LoadRoute:
    """Answers the operator. Called on threads of the internal server."""

    def __init__(self, database: Database, store: LoadStore, learner: Learner) -> None:
        self._store = store
        self._learner = learner
        self._watch = Watch(lambda: measure(store.work(), learner.costs()), Listener(database))

    def __call__(self, body: bytes) -> Answer:
        """The load, at once or after the wait; a problem document when that is not possible."""
        try:
            asked = validate(LoadIn, parse(body))
            if asked.decision is not None:
                self._store.note(Decision(**asked.decision.model_dump()))
            return _json(200, "application/json", self._watch.wait(asked.seen, asked.wait).document())
        except Problem as problem:
            return _problem(problem)
        except StoreAway as error:
            logger.warning("answering 503 to the operator: %s", error)
            return _problem(store_away())
        except Crowded:
            return _problem(Problem(429, "Too many requests", "Too many requests wait for the load already."))


def _problem(problem: Problem) -> Answer:
    return _json(problem.status, MEDIA_TYPE, problem.document(PATH))


def _json(status: int, kind: str, document: dict[str, Any]) -> Answer:
    return status, kind, json.dumps(document).encode() + b"\n"
