"""The pages that Flower does not have: Overview, Monitor, what they show as JSON, and their files."""

import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from flower.views import BaseHandler
from flower.views.monitor import Healthcheck
from tornado.template import Loader, Template
from tornado.web import HTTPError, RedirectHandler, StaticFileHandler

HERE = Path(__file__).parent
UPLOT = HERE.parent / "static" / "vendor" / "uplot-1.6.32"
POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"

LIST = '<ul class="app-nav navbar-nav">'
ENTRY = """
        <li class="nav-item">
          <a class="nav-link{{% if active_tab == '{name}' %}} active{{% end %}}"
            href="{{{{ reverse_url('{name}') }}}}"
            {{% if active_tab == '{name}' %}}aria-current="page"{{% end %}}>{title}</a>
        </li>"""


def with_tabs(navbar: str) -> str:
    """Flower's navigation bar with Overview before and Monitor after its own entries. Raises ValueError when it is not as it was."""
    before, found, rest = navbar.partition(LIST)
    entries, closed, after = rest.partition("</ul>")
    if not found or not closed:
        raise ValueError("Flower's navigation bar has another form")
    first, last = (ENTRY.format(name=title.lower(), title=title) for title in ("Overview", "Monitor"))
    return before + LIST + first + entries.rstrip() + last + "\n      </ul>" + after


class Templates(Loader):
    """Flower's templates and ours."""

    def _create_template(self, name: str) -> Template:
        ours = HERE / "templates" / name
        source = ours if ours.is_file() else Path(self.root) / name
        text = source.read_text(encoding="utf-8")
        return Template(with_tabs(text) if name == "navbar.html" else text, name=name, loader=self)


class Refusal(BaseHandler):  # type: ignore[misc]
    """The answer to whoever has no login."""

    def prepare(self) -> None:
        """Raises HTTPError 401."""
        raise HTTPError(401)


class Slash(RedirectHandler):
    """/flower is what people type; Flower itself answers only /flower/."""


class Page(BaseHandler):  # type: ignore[misc]
    """A page with figures that its script fetches."""

    def initialize(self, template: str) -> None:
        """`template` is the file's name."""
        self._template = template

    def get(self) -> None:
        """The page."""
        self.set_header("Content-Security-Policy", POLICY)
        self.render(self._template)


class Figures(BaseHandler):  # type: ignore[misc]
    """Everything both pages show."""

    def get(self) -> None:
        """JSON; `since`, in seconds since 1970, leaves out samples up to then. 400 when it is no number."""
        dashboard = self.application
        since = self.get_argument("since", default="0", type=float)
        self.set_header("Cache-Control", "no-store")
        self.write(
            {
                "now": time.time(),
                "since": dashboard.history.since,
                "listening_since": dashboard.events.since,
                "totals": dict(dashboard.history.totals),
                "queue": dashboard.depth._asdict() if dashboard.depth else None,
                "workers": [asdict(row) for row in dashboard.rows()],
                "samples": dashboard.history.after(since),
            }
        )


class Asset(StaticFileHandler):
    """A file of ours; browsers ask each time whether it is still the same."""

    def set_extra_headers(self, path: str) -> None:
        """Called for each answer."""
        self.set_header("Cache-Control", "no-cache")


OPEN = (Healthcheck, Slash)
"""What is answered without a login."""

ROUTES: list[tuple[str, str, Any, dict[str, Any]]] = [
    ("", "slash", Slash, {"url": "/flower/", "permanent": False}),
    ("/", "main", RedirectHandler, {"url": "/flower/overview", "permanent": False}),
    ("/overview", "overview", Page, {"template": "overview.html"}),
    ("/monitor", "monitor", Page, {"template": "monitor.html"}),
    ("/monitor/figures", "figures", Figures, {}),
    ("/monitor/uplot/(.*)", "uplot", Asset, {"path": str(UPLOT)}),
    ("/monitor/(.*)", "asset", Asset, {"path": str(HERE / "static")}),
]
"""Pattern after the prefix, name, handler and what it is given."""
