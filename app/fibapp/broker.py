"""What keeps the broker from taking messages, in words that stay the same as long as the cause does. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """Who has to act, so that it ends."""

    AWAY = "away"
    """Nobody, most often: it does not answer."""
    ALARM = "alarm"
    """It is short of memory or disk, and takes nothing until it has more: https://www.rabbitmq.com/docs/alarms"""
    REFUSED = "refused"
    """It does not admit us, or has a queue of our name that is none of ours."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why no message can be published."""

    cause: Cause
    words: str
