"""Whether a live object already is what we want: so that an unchanged pipeline costs no request."""

from typing import Any

from kubernetes.utils.quantity import parse_quantity

from . import names
from .resources.objects import Object
from .resources.pods import digest

# They are atomic: https://kubernetes.io/docs/reference/using-api/server-side-apply/#merge-strategy
_SELECTORS = ("selector", "podSelector", "namespaceSelector")


def stamped(desired: Object) -> Object:
    """The object with a fingerprint of itself as annotation: it shows later that a field was dropped from what we want."""
    metadata = desired["metadata"]
    annotations = {**metadata.get("annotations", {}), names.APPLIED: digest(desired)}
    return {**desired, "metadata": {**metadata, "annotations": annotations}}


def is_applied(desired: Object, live: Object | None) -> bool:
    """Whether `live` carries every field of the stamped `desired`. Fields that are not ours do not count."""
    if live is None or not stands_in(desired, live):
        return False
    return desired.get("kind") != "NetworkPolicy" or stands_in(desired["spec"], live.get("spec"), exactly=True)


def stands_in(desired: Any, live: Any, *, exactly: bool = False) -> bool:
    """Whether every value of `desired` stands in `live`. Both are plain JSON: dicts, lists and scalars.

    Lists of named things are matched by name, as server-side apply merges them; other lists must agree in length and order.
    Quantities are equal when their amounts are: the API server rewrites `1000m` as `1`. `exactly`: `live` has no further keys either,
    not even empty ones. So it is with selectors always: one more label selects less, one more selector of a policy's peer lets more in.
    """
    if desired == live:
        return True
    if isinstance(desired, dict):
        if live is None:
            return not desired
        if not isinstance(live, dict) or (exactly and not set(live) <= set(desired)):
            return False
        return all(stands_in(value, live.get(key), exactly=exactly or key in _SELECTORS) for key, value in desired.items())
    if isinstance(desired, list):
        if live is None:
            return not desired
        return isinstance(live, list) and _list_stands_in(desired, live, exactly)
    return _same_quantity(desired, live)


def _list_stands_in(desired: list[Any], live: list[Any], exactly: bool) -> bool:
    by_name = _by_name(live)
    if not exactly and by_name is not None and _by_name(desired) is not None:
        return all(stands_in(item, by_name.get(item["name"])) for item in desired)
    return len(desired) == len(live) and all(stands_in(want, have, exactly=exactly) for want, have in zip(desired, live, strict=True))


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    if not all(isinstance(item, dict) and "name" in item for item in items):
        return None
    named = {item["name"]: item for item in items}
    return named if len(named) == len(items) else None


def _same_quantity(left: Any, right: Any) -> bool:
    if not isinstance(left, str | int) or not isinstance(right, str | int) or isinstance(left, bool) or isinstance(right, bool):
        return False
    try:
        return bool(parse_quantity(left) == parse_quantity(right))
    except ValueError:
        return False
