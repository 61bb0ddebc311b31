"""Why the broker takes no messages, in words that do not change while the cause lasts. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """The kind of error: it decides who has to act."""

    UNREACHABLE = "unreachable"
    """The broker does not answer; most often it restarts."""
    ALARM = "alarm"
    """The broker lacks memory or disk and blocks publishers: https://www.rabbitmq.com/docs/alarms"""
    REFUSED = "refused"
    """The broker refuses the login or virtual host, or holds a queue of the same name with other properties."""


@dataclass(frozen=True, slots=True)
class BrokerError:
    """Why no message can be published."""

    cause: Cause
    words: str
