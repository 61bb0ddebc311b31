"""kubectl as a function."""

import json
import os
import subprocess
from typing import Any


class KubectlError(RuntimeError):
    """kubectl refused; the message is what it printed."""


class Kubectl:
    """kubectl with a given environment, so that it always talks to the cluster that was chosen."""

    def __init__(self, env: dict[str, str]) -> None:
        self._env = {**os.environ, **env}

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints. Raises KubectlError."""
        done = subprocess.run(["kubectl", *arguments], env=self._env, input=stdin, capture_output=True, text=True, check=False)
        if done.returncode:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout

    def json(self, *arguments: str) -> Any:
        """Run kubectl with `-o json` and return the parsed answer."""
        return json.loads(self(*arguments, "-o", "json"))
