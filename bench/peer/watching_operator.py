"""A kopf operator that watches the objects the project's operator watches, and does nothing. Run by `kopf run`."""

from typing import Any

import kopf

from fiboperator.kinds import WATCHED_KINDS
from fiboperator.names import CHILD_SELECTOR, GROUP, PLURAL, VERSION

KINDS = [(api_version.rpartition("/")[0], api_version.rpartition("/")[2], plural) for api_version, plural in WATCHED_KINDS.values()]


@kopf.on.startup()
def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """The labels are filtered by the server and lists come in pages, as kopf can do since 1.45."""
    settings.posting.enabled = False
    settings.watching.chunk_size = 500
    for kind in KINDS:
        settings.watching.label_selectors[kind] = CHILD_SELECTOR


@kopf.on.event(GROUP, VERSION, PLURAL)
def notice(**_: Any) -> None:
    """Nothing."""


for _kind in KINDS:
    kopf.on.event(*_kind)(notice)
