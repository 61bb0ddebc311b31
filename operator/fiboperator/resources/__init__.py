"""The children of a pipeline as pure functions of its spec; a component is one file."""

from ..names import Component
from ..spec import Pipeline
from . import api, flower, ingress, network, postgresql, rabbitmq, worker
from .credentials import GENERATED, decode, generate, generated_components, missing_keys
from .objects import Context, Object, Release

__all__ = [
    "GENERATED",
    "Component",
    "Context",
    "Object",
    "Pipeline",
    "Release",
    "decode",
    "desired",
    "generate",
    "generated_components",
    "missing_keys",
]


def desired(context: Context) -> list[Object]:
    """Every child that the spec asks for, in the order in which they depend on each other.

    Pure: no I/O, no randomness. A child that is not wanted is not in the list.
    """
    parts = (rabbitmq, postgresql, network, api, worker, flower, ingress)
    return [child for part in parts for child in part.objects(context)]
