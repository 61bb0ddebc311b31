"""Curves over time as an SVG picture that needs no program but a browser. Pure."""

from collections.abc import Mapping, Sequence
from html import escape

Curve = Sequence[tuple[float, float]]

WIDTH, HEIGHT = 860, 190
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 26, 30
COLOURS = ("#0b6bcb", "#c4500c")
TICKS = 5


def panels(title: str, charts: Mapping[str, Mapping[str, Curve]]) -> str:
    """Charts under each other with one time axis in seconds; each maps the names of its curves to (seconds, value) steps."""
    end = max(at for chart in charts.values() for curve in chart.values() for at, _ in curve)
    body = "".join(_panel(name, chart, end, 34 + number * HEIGHT) for number, (name, chart) in enumerate(charts.items()))
    height = 34 + len(charts) * HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="#333">\n'
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>\n'
        f'<text x="{LEFT}" y="20" font-size="15" font-weight="bold">{escape(title)}</text>\n{body}</svg>\n'
    )


def _panel(name: str, chart: Mapping[str, Curve], end: float, top: int) -> str:
    most = max(value for curve in chart.values() for _, value in curve) or 1
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def x(at: float) -> float:
        return LEFT + across * at / end

    def y(value: float) -> float:
        return top + TOP + down * (1 - value / most)

    lines = [f'<text x="{LEFT}" y="{top + TOP - 8}" font-weight="bold">{escape(name)}</text>']
    for tick in range(TICKS + 1):
        at, value = end * tick / TICKS, most * tick / TICKS
        lines.append(f'<text x="{x(at):.0f}" y="{top + HEIGHT - BOTTOM + 16}" text-anchor="middle">{at:.0f} s</text>')
        lines.append(f'<path d="M{LEFT} {y(value):.1f}H{LEFT + across}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.0f}</text>')
    for number, (label, curve) in enumerate(chart.items()):
        colour = COLOURS[number % len(COLOURS)]
        steps = "".join(f"H{x(at):.1f}V{y(value):.1f}" for at, value in curve[1:])
        lines.append(f'<path d="M{x(curve[0][0]):.1f} {y(curve[0][1]):.1f}{steps}" fill="none" stroke="{colour}" stroke-width="2"/>')
        lines.append(f'<text x="{LEFT + across + 10}" y="{top + TOP + 14 + 18 * number}" fill="{colour}">{escape(label)}</text>')
    return "\n".join(lines) + "\n"
