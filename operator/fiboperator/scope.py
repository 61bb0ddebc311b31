"""Which namespaces this operator looks after."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

ONE: str = "FIBPIPELINE_NAMESPACE"
SEVERAL: str = "FIBPIPELINE_NAMESPACES"


@dataclass(frozen=True)
class Scope:
    """Some namespaces, or with none named the whole cluster."""

    namespaces: tuple[str, ...] = ()

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> Self:
        """The namespaces in FIBPIPELINE_NAMESPACES (and FIBPIPELINE_NAMESPACE), separated by commas; each counts once."""
        named = [name.strip() for variable in (SEVERAL, ONE) for name in environment.get(variable, "").split(",")]
        return cls(tuple(dict.fromkeys(name for name in named if name)))

    @property
    def clusterwide(self) -> bool:
        return not self.namespaces

    @property
    def parts(self) -> tuple[str | None, ...]:
        """What is listed and watched one by one; None is all namespaces at once."""
        return self.namespaces or (None,)
