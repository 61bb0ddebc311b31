"""The relay's decisions, with a broker and an outbox in memory."""

from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest

from fibapp.backoff import Backoff
from fibapp.broker import BrokerError, Cause
from fibapp.publisher import BrokerAway, Outcome
from fibapp.relay import Relay
from fibapp.store.outbox import Due


class MemoryOutbox:
    """What is due, and what the relay said about it."""

    def __init__(self, due: Sequence[Due] = (), waiting: int = 0, stale: Sequence[Due] = ()) -> None:
        self.due = list(due)
        self.stale = list(stale)
        self.waiting = waiting
        self.marked: list[UUID] = []
        self.given_back: list[UUID] = []
        self.hastened = 0

    def reserve(self, limit: int, *, stale: bool) -> list[Due]:
        found = (self.due + (self.stale if stale else []))[:limit]
        self.due = [due for due in self.due if due not in found]
        return found

    def published(self, ids: Sequence[UUID]) -> None:
        self.marked += ids

    def returned(self, ids: Sequence[UUID]) -> None:
        self.given_back += ids

    def has_stale(self) -> bool:
        return bool(self.stale)

    def postpone_stale(self, limit: int) -> None:
        self.stale = self.stale[limit:]

    def count_waiting(self) -> int:
        return self.waiting

    def hasten_missing(self, _grace: float) -> int:
        self.hastened += 1
        return 1


class MemoryPublisher:
    """A broker with `depth` messages that refuses `refused` and is away when told."""

    def __init__(self, depth: int = 0, *, refused: Sequence[UUID] = (), away: bool = False) -> None:
        self.connected = False
        self._depth = depth
        self._refused = refused
        self._away = away
        self.broker_error = BrokerError(Cause.UNREACHABLE, "frozen")
        self.sent: list[UUID] = []

    def connect(self) -> None:
        self.connected = True

    def close(self) -> None:
        self.connected = False

    def heartbeat(self) -> None:
        assert self.connected

    def depth(self) -> int:
        return self._depth

    def publish(self, jobs: Sequence[Due]) -> Outcome:
        if self._away:
            self.connected = False
            raise BrokerAway("frozen", self.broker_error)
        self.sent += [job.id for job in jobs]
        return Outcome([job.id for job in jobs if job.id not in self._refused], [job.id for job in jobs if job.id in self._refused])


class MemoryBrokerErrors:
    """What the relay noted last of the broker."""

    def __init__(self) -> None:
        self.noted: BrokerError | None = None

    def record(self, _relay: str, error: BrokerError) -> None:
        self.noted = error

    def clear(self, _relay: str) -> None:
        self.noted = None


def due(publishes: int = 0) -> Due:
    return Due(uuid4(), 5, "recursive", publishes)


def relay(outbox: MemoryOutbox, publisher: MemoryPublisher, errors: MemoryBrokerErrors | None = None) -> Relay:
    return Relay(outbox, publisher, None, errors or MemoryBrokerErrors(), grace_seconds=1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("cause", "cleared_by_connecting"), [(Cause.UNREACHABLE, True), (Cause.REFUSED, True), (Cause.ALARM, False)])
def test_what_keeps_the_broker_from_taking_messages_is_noted_until_it_takes_them(cause: Cause, cleared_by_connecting: bool) -> None:
    outbox, publisher, errors = MemoryOutbox([due()]), MemoryPublisher(away=True), MemoryBrokerErrors()
    publisher.broker_error = BrokerError(cause, "why")
    one = relay(outbox, publisher, errors)
    fail_once(one)
    assert errors.noted == publisher.broker_error
    publisher._away = False
    one.pass_once()
    assert (errors.noted is None) is cleared_by_connecting, "in an alarm the broker admits everybody"
    outbox.due = [due()]
    one.pass_once()
    assert errors.noted is None


def fail_once(one: Relay) -> None:
    """A pass as `run` makes it, with a broker that is away."""
    with pytest.raises(BrokerAway) as caught:
        one.pass_once()
    one.record(caught.value.broker_error)


def test_what_is_confirmed_is_marked() -> None:
    jobs = [due(), due()]
    outbox, publisher = MemoryOutbox(jobs), MemoryPublisher()
    assert relay(outbox, publisher).pass_once() is False
    assert outbox.marked == publisher.sent == [job.id for job in jobs]
    assert outbox.given_back == []


def test_what_the_broker_refuses_is_due_again_and_the_queue_declared_anew() -> None:
    jobs = [due(), due()]
    outbox, publisher = MemoryOutbox(jobs), MemoryPublisher(refused=[jobs[1].id])
    with pytest.raises(BrokerAway, match="1 messages had no queue"):
        relay(outbox, publisher).pass_once()
    assert (outbox.marked, outbox.given_back) == ([jobs[0].id], [jobs[1].id])
    assert not publisher.connected


def test_an_absent_broker_gives_everything_back() -> None:
    job = due()
    outbox = MemoryOutbox([job])
    with pytest.raises(BrokerAway):
        relay(outbox, MemoryPublisher(away=True)).pass_once()
    assert (outbox.marked, outbox.given_back) == ([], [job.id])


def test_a_long_queue_is_left_alone() -> None:
    outbox, publisher = MemoryOutbox(waiting=3, stale=[due(1), due(1)]), MemoryPublisher(depth=3)
    relay(outbox, publisher).pass_once()
    assert publisher.sent == []
    assert outbox.stale == []


def test_messages_missing_from_the_queue_are_published_again() -> None:
    outbox, publisher = MemoryOutbox(waiting=3, stale=[due(1)]), MemoryPublisher(depth=2)
    relay(outbox, publisher).pass_once()
    assert publisher.sent == [outbox.stale[0].id]
    assert outbox.hastened == 0


def test_no_more_are_published_again_than_are_missing() -> None:
    stale = [due(1) for _ in range(4)]
    outbox, publisher = MemoryOutbox(waiting=7, stale=stale), MemoryPublisher(depth=5)
    assert relay(outbox, publisher).pass_once() is True
    assert publisher.sent == [job.id for job in stale[:2]]


def test_an_empty_queue_with_jobs_waiting_is_noticed_at_once() -> None:
    outbox = MemoryOutbox(waiting=3)
    relay(outbox, MemoryPublisher(depth=0)).pass_once()
    assert outbox.hastened == 1


def test_backoff_doubles_up_to_its_longest_and_starts_anew() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert backoff.next() == 0.5
