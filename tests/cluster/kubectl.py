"""kubectl for the tests: against the lab, and never against whatever cluster the shell happens to point at."""

import os
import subprocess
from pathlib import Path
from typing import Any

import yaml

from lab.settings import Settings

TIMEOUT_SECONDS = 120


def kubeconfig() -> Path:
    """The kubeconfig in use. Raises RuntimeError where $KUBECONFIG is not one of the lab's: the tests break what they touch."""
    home = Settings.from_environment().home
    configured = os.environ.get("KUBECONFIG", "")
    path = Path(configured).resolve()
    # The lab's cluster keeps its own under `home`, a bare control plane in a temporary folder.
    if not configured or not (path.is_relative_to(home) or path.parent.name.startswith("fiblab-bare-")):
        raise RuntimeError(f"KUBECONFIG is {configured!r}, which is none of the lab's (under {home}): run `make test-cluster`")
    return path


def kubectl(*arguments: str, stdin: Any = None, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run the lab's own kubectl; `stdin` is an object, or a list of objects, for `-f -`.

    Raises AssertionError with kubectl's own words when it fails; with `check=False` the failure is the caller's to look at.
    """
    command = [str(Settings.from_environment().bin / "kubectl"), "--kubeconfig", str(kubeconfig()), *arguments]
    text = None if stdin is None else yaml.safe_dump_all(stdin if isinstance(stdin, list) else [stdin])
    done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False)
    assert done.returncode == 0 or not check, f"kubectl {' '.join(arguments)}: {done.stderr or done.stdout}"
    return done


def refused(*arguments: str, stdin: Any = None) -> str:
    """Run what kubectl must refuse; returns its words. Raises AssertionError when it is accepted."""
    done = kubectl(*arguments, stdin=stdin, check=False)
    assert done.returncode != 0, f"kubectl {' '.join(arguments)} was accepted: {done.stdout}"
    return done.stdout + done.stderr


def read(*arguments: str) -> dict[str, Any]:
    """`kubectl get` of one object."""
    return dict(yaml.safe_load(kubectl("get", *arguments, "--output=yaml").stdout))
