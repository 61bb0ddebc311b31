"""kubectl for the tests: with a kubeconfig that is given, so never against whatever cluster the shell happens to point at."""

import subprocess
from pathlib import Path
from typing import Self

from lab.settings import Settings

TIMEOUT_SECONDS = 120


class Kubectl:
    """The lab's own kubectl on one cluster, in one namespace where one is given."""

    def __init__(self, kubeconfig: Path, namespace: str | None = None) -> None:
        self._kubeconfig = kubeconfig
        program = Settings.from_environment().bin / "kubectl"
        self._command = [str(program), "--kubeconfig", str(kubeconfig), *(["--namespace", namespace] if namespace else [])]

    def within(self, namespace: str) -> Self:
        """The same in a namespace."""
        return type(self)(self._kubeconfig, namespace)

    def __call__(self, *arguments: str, stdin: str | None = None) -> str:
        """Run it; returns what it printed. Raises AssertionError with its own words when it fails."""
        done = self._run(arguments, stdin)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}"
        return done.stdout

    def refused(self, *arguments: str, stdin: str | None = None) -> str:
        """Run what must fail; returns the words of the refusal. Raises AssertionError when it succeeds."""
        done = self._run(arguments, stdin)
        assert done.returncode != 0, f"kubectl {' '.join(arguments)} was accepted: {done.stdout}"
        return done.stdout + done.stderr

    def _run(self, arguments: tuple[str, ...], stdin: str | None) -> subprocess.CompletedProcess[str]:
        command = [*self._command, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
