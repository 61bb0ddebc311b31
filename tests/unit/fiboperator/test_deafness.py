"""What no watch tells of FibPipelines is found by a list and acted on; a process that misses more asks to be restarted."""

import asyncio
from itertools import chain, repeat

import pytest

from fiboperator import deafness
from fiboperator.children import PipelineKey
from fiboperator.errors import ApiError

A, B = ("ns", "a"), ("ns", "b")
LONGEST, DELAY = (deafness.LOOK_AGAIN_SECONDS, deafness.LOOK_SECONDS), deafness.UNDER_WAY_SECONDS
Heads = dict[PipelineKey, tuple[str, int]]
NO_KIND = ApiError("list", 404, "NotFound", "no such kind")


class Listener:
    """A process in which kopf tells of nothing but what `known` says."""

    def __init__(self, known: Heads, *lists: Heads | ApiError) -> None:
        self.known = dict(known)
        self.taken: list[PipelineKey] = []
        self.lists = chain(lists, repeat(lists[-1]))
        self.there: Heads = {}

    async def heads(self) -> Heads:
        if isinstance(answer := next(self.lists), ApiError):
            raise answer
        self.there = answer
        return answer

    async def take(self, key: PipelineKey) -> None:
        self.taken.append(key)
        if key in self.there:
            self.known[key] = self.there[key]
        else:
            del self.known[key]

    async def run(self) -> bool:
        """Let it look many times; returns whether it asks for a restart."""
        listening = asyncio.create_task(deafness.listen(lambda: self.known, self.heads, self.take))
        for _ in range(200):
            await asyncio.sleep(0)
        if listening.done():
            with pytest.raises(deafness.Deaf):
                await listening
            return True
        listening.cancel()
        return False


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_SECONDS", "LOOK_AGAIN_SECONDS", "UNDER_WAY_SECONDS"):
        monkeypatch.setattr(deafness, name, 0)


@pytest.mark.parametrize(
    ("known", "there"),
    [
        pytest.param({A: ("1", 1)}, {A: ("1", 2)}, id="an edit while it is known"),
        pytest.param({A: ("1", 1)}, {A: ("1", 1), B: ("2", 1)}, id="a new one while another is known"),
        pytest.param({A: ("1", 1), B: ("2", 1)}, {A: ("1", 1)}, id="one is gone"),
        pytest.param({A: ("1", 5)}, {A: ("2", 1)}, id="a successor"),
        pytest.param({}, {A: ("1", 1)}, id="the first one"),
    ],
)
async def test_missed_news_are_acted_on_and_only_a_second_time_asks_for_a_restart(known: Heads, there: Heads) -> None:
    listener = Listener(known, there)
    assert not await listener.run()
    assert listener.known == there
    assert len(listener.taken) == 1
    later = {key: (uid, generation + 1) for key, (uid, generation) in there.items()}
    assert await Listener(known, there, later).run()


async def test_what_is_known_costs_nothing_more() -> None:
    listener = Listener({A: ("1", 2)}, {A: ("1", 2)}, {A: ("1", 1)}, NO_KIND)
    assert not await listener.run()
    assert listener.taken == []


async def test_news_that_arrive_a_moment_later_were_not_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    listener = Listener({A: ("1", 1)}, {A: ("1", 2)})
    monkeypatch.setattr(deafness, "_missed", arriving(listener, deafness._missed))
    assert not await listener.run()
    assert listener.taken == []


def arriving(listener: Listener, missed: object) -> object:
    """The watch tells of the news while the look is under way."""

    async def look(known: object, heads: object) -> set[PipelineKey]:
        task = asyncio.create_task(missed(known, heads))  # type: ignore[operator]
        await asyncio.sleep(0)
        listener.known[A] = ("1", 2)
        return set(await task)

    return look


def test_an_edit_is_applied_within_90_seconds() -> None:
    assert max(LONGEST) + DELAY < 90
