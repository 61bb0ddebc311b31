"""The way of a job, told without inventing a moment."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fibapp.jobs import Job
from fibapp.store.view import Details
from fibapp.timeline import timeline

BEGIN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def after(seconds: float) -> datetime:
    return BEGIN + timedelta(seconds=seconds)


def details(state: str, *, published_at: datetime | None = None, publishes: int = 0, **job: Any) -> Details:
    values: dict[str, Any] = dict.fromkeys(Job.__slots__)
    values.update(id=UUID(int=1), seq=1, n=30, algorithm="recursive", state=state, attempts=0, created_at=BEGIN)
    return Details(Job(**{**values, **job}), published_at, publishes, 0, None)


def told(found: Details) -> list[tuple[str, str, str]]:
    return [(step.name, step.progress, step.note) for step in timeline(found)]


def test_just_accepted() -> None:
    assert told(details("queued")) == [
        ("Accepted", "past", "committed to the store"),
        ("Published", "now", "waiting to be handed to the broker"),
        ("Claimed", "ahead", "waiting for a free worker"),
        ("Stored", "ahead", ""),
    ]


def test_done_with_every_moment_noted() -> None:
    steps = timeline(
        details("done", published_at=after(0.02), publishes=1, started_at=after(1), finished_at=after(3), worker="worker@a", attempts=1)
    )
    assert [step.progress for step in steps] == ["past"] * 4
    assert [step.note for step in steps[1:]] == ["after 20 ms", "after 980 ms, by worker@a", "after 2.0 s"]
    assert steps[3].at == "2026-01-02T03:04:08.000Z"


def test_a_publication_that_left_no_note_has_no_time() -> None:
    step = timeline(details("running", started_at=after(0.03), worker="worker@a", attempts=1))[1]
    assert (step.progress, step.at) == ("past", None)


def test_waiting_again_after_a_lost_attempt() -> None:
    steps = timeline(details("queued", published_at=after(0.1), publishes=0, started_at=after(1), worker="worker@a", attempts=1))
    assert "to be published again" in steps[1].note
    assert steps[2].at is None and "earlier attempt" in steps[2].note


def test_cancelled_before_anybody_took_it() -> None:
    steps = told(details("cancelled", finished_at=after(2)))
    assert steps[1:] == [("Published", "ahead", "not noted"), ("Claimed", "ahead", "never"), ("Cancelled", "past", "after 2.0 s")]


def test_published_several_times() -> None:
    assert "3 times, this is the latest" in timeline(details("queued", published_at=after(90), publishes=3))[1].note
