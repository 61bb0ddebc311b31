"""`python -m fibworker`: the worker pod's one command."""
# ruff: noqa: E402

import argparse
import os
import signal

# The first process of a container ignores signals it has no handler for: a SIGTERM that came while the modules below are loaded would
# be lost, and the pod live on until its grace period ends.
signal.signal(signal.SIGTERM, lambda number, _frame: os._exit(128 + number))

from fibapp import logs
from fibapp.settings import load_settings
from fibworker import supervisor


def main() -> None:
    """Run the supervisor."""
    parser = argparse.ArgumentParser(
        prog="python -m fibworker", description="Take jobs from the queue and compute them; settings come from FIB_... variables."
    )
    parser.parse_args()
    settings = load_settings()
    logs.configure(settings.log_level, "supervisor")
    supervisor.run(settings)


if __name__ == "__main__":
    main()
