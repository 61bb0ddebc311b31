"""What is waited for, and what is reported by ending."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr
from sqlalchemy import exc

from fibapp import migrate
from fibapp.settings import Settings

REFUSED = 'FATAL:  password authentication failed for user "fib"'
STARTING = "FATAL:  the database system is starting up"


class Clock:
    """Time that passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(migrate, "time", clock)
    return clock


def attempts(monkeypatch: pytest.MonkeyPatch, answers: Iterator[str]) -> None:
    """Let each attempt end with the next of these errors; with none it succeeds."""

    def attempt(_url: str) -> None:
        if words := next(answers):
            raise exc.OperationalError("connect", {}, Exception(words))

    monkeypatch.setattr(migrate, "migrate", attempt)


def run() -> None:
    migrate.run(Settings(database_url=SecretStr("postgresql://fib:secret@db/fib"), broker_url=SecretStr("amqp://b")))


def test_a_database_that_does_not_admit_us_is_reported_by_ending_with_its_words(monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    attempts(monkeypatch, iter([REFUSED] * 100))
    began = clock.now
    with pytest.raises(SystemExit, match=r"does not admit the pipeline: .*password authentication failed") as ended:
        run()
    assert "secret" not in str(ended.value)
    assert migrate.REFUSED_SECONDS <= clock.now - began < migrate.REFUSED_SECONDS + 5


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([STARTING] * 600 + [""], id="it starts"),
        pytest.param(["could not connect to server: Connection refused"] * 600 + [""], id="it is away"),
        pytest.param(([REFUSED] * 20 + [STARTING]) * 5 + [""], id="its role is being made again"),
    ],
)
def test_what_passes_by_itself_is_waited_for(monkeypatch: pytest.MonkeyPatch, clock: Clock, answers: list[str]) -> None:
    attempts(monkeypatch, iter(answers))
    run()
