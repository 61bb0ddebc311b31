"""JSON of messages: orjson's and kombu's codec read each other's, and kombu's does what orjson cannot."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from kombu.utils import json

from fibapp import codec

PLAIN = [[30], {"algorithm": "recursive", "wörter": "ünïcode", "none": None, "figure": 1.5}, {"callbacks": None}]


def test_what_one_writes_the_other_reads() -> None:
    assert codec.loads(json.dumps(PLAIN)) == PLAIN
    assert json.loads(codec.dumps(PLAIN)) == PLAIN


@pytest.mark.parametrize("value", [datetime(2026, 1, 2, tzinfo=UTC), Decimal("1.5"), 2**70, b"bytes"])
def test_what_json_or_orjson_has_no_type_for_comes_back_as_kombu_has_it(value: Any) -> None:
    assert codec.loads(codec.dumps({"value": value})) == json.loads(json.dumps({"value": value}))


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_every_kind_of_buffer_is_read(kind: Any) -> None:
    assert codec.loads(kind(b'{"n": [1, 2]}')) == {"n": [1, 2]}


def test_what_others_write_beyond_json_is_read_and_nonsense_is_refused() -> None:
    assert codec.loads(b"[Infinity]") == [float("inf")]
    with pytest.raises(ValueError):
        codec.loads(b"{nonsense")
    with pytest.raises(TypeError):
        codec.dumps({"value": object()})
