"""A process that hears of no pipeline although there are some asks to be restarted; any other does not."""

import asyncio
from itertools import chain, repeat

import pytest

from fiboperator import deafness
from fiboperator.errors import ApiError

Look = bool | ApiError


@pytest.mark.parametrize(
    ("known", "looks", "deaf"),
    [
        pytest.param(0, [True, True], True, id="deaf"),
        pytest.param(0, [True, False, True, False], False, id="they come and go"),
        pytest.param(0, [ApiError("list", 404, "NotFound", "no such kind")] * 3, False, id="no CRD"),
        pytest.param(1, [True, True], False, id="one is known"),
    ],
)
async def test_two_looks_in_a_row_must_find_what_is_not_known(
    monkeypatch: pytest.MonkeyPatch, known: int, looks: list[Look], deaf: bool
) -> None:
    monkeypatch.setattr(deafness, "LOOK_SECONDS", 0)
    answers, asked = chain(looks, repeat(False)), 0

    async def exist() -> bool:
        nonlocal asked
        asked += 1
        if isinstance(answer := next(answers), ApiError):
            raise answer
        return answer

    listening = asyncio.create_task(deafness.listen(lambda: known, exist))
    for _ in range(100):
        await asyncio.sleep(0)
    if deaf:
        with pytest.raises(deafness.Deaf):
            await listening
    else:
        assert not listening.done()
        assert bool(asked) is not bool(known), "it costs nothing while a pipeline is known"
        listening.cancel()
