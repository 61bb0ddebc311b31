"""Figures in words, the same on every page. Pure."""

from datetime import datetime


def span(seconds: float | None) -> str:
    """A length of time, to two digits where that is enough: `0.4 ms`, `92 ms`, `1.1 s`, `3 min 20 s`, `2 h 5 min`."""
    if seconds is None:
        return ""
    if seconds < 0.0001:
        return "< 0.1 ms"
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    for large, small, size in (("min", "s", 60), ("h", "min", 3600), ("d", "h", 86400)):
        if whole < size * (60 if size == 60 else 24) or large == "d":
            rest = whole % size // (size // 60 if size < 86400 else 3600)
            return f"{whole // size:,} {large}" + (f" {rest} {small}" if rest else "")
    raise AssertionError("the last row takes all")


def number(value: float) -> str:
    """A count with its thousands apart; a rate below ten with one decimal."""
    if isinstance(value, float) and value < 9.95:
        return f"{value:.1f}".removesuffix(".0")
    return f"{value:,.0f}"


def plural(value: int, word: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{value:,} {word}{'' if value == 1 else 's'}"


def clock(moment: str | datetime) -> str:
    """The time of day in UTC; a browser with scripts shows its own zone instead."""
    text = moment if isinstance(moment, str) else moment.isoformat()
    return text[11:19]


def desk(node: str, pipeline: str) -> str:
    """A Celery node name without what all workers of the pipeline share: `6d4b8-xk2lp`, or `6d4b8-xk2lp #2` of several processes."""
    process, _, pod = node.partition("@")
    short = pod.removeprefix(f"{pipeline}-worker-") or node
    count = process.rpartition("-")[2]
    return f"{short} #{count}" if count.isdigit() else short
