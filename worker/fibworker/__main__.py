"""`python -m fibworker`: the worker pod's one command."""

import argparse

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
