"""A working process: one Celery worker with one thread for jobs, started and watched by the supervisor.

The job runs on a thread beside Celery's event loop, so that heartbeats, Flower's questions and events go on during a long job; with
Celery's `solo` pool they would stand still. Time limit and cancellation are the supervisor's: it ends this process.
"""

import argparse
import logging
import os
import sys
import threading
import warnings
from pathlib import Path

from celery import signals
from celery.exceptions import CPendingDeprecationWarning, SecurityWarning

from fibapp import logs
from fibapp.jobs import Bounds
from fibapp.queue import create_celery
from fibapp.settings import Settings, load_settings
from fibapp.store import Database
from fibapp.store.claims import ClaimStore
from fibworker import tasks
from fibworker.load import LoadStep
from fibworker.pool import pool_of
from fibworker.slots import Now, Phase, Slot
from fibworker.work import Worker

DATABASE_SECONDS = 5.0


def main() -> None:
    """The program of a process that is not a copy of its supervisor."""
    parser = argparse.ArgumentParser(prog="python -m fibworker.child")
    parser.add_argument("--name", required=True, help="Celery node name")
    parser.add_argument("--slot", required=True, type=int, help="descriptor of the shared memory")
    arguments = parser.parse_args()
    sys.exit(work(load_settings(), arguments.name, Slot(arguments.slot)))


def work(settings: Settings, name: str, slot: Slot) -> int:
    """Work until SIGTERM, or until the supervisor is gone, under the Celery node name `name`. Returns the exit code."""
    Path("/proc/self/comm").write_text("fibworker.child")  # for ps and top: a copy has its supervisor's command line
    logs.configure(settings.log_level, "worker")
    # Celery tells every task twice at INFO: a tenth of the time of a short job.
    for chatty in ("celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    # What it warns of on each lost connection is a choice made in the settings.
    warnings.filterwarnings("ignore", category=CPendingDeprecationWarning)
    # It takes a user without an entry in passwd for root.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    threading.Thread(target=_leave_with_supervisor, name="lifeline", daemon=True).start()

    database = Database(settings.database_url.get_secret_value(), role="worker", connections=1, timeout=DATABASE_SECONDS)
    store = ClaimStore(database, lease_seconds=settings.lease_seconds, max_crashes=settings.max_crashes)
    app = create_celery(settings)
    bounds = Bounds(recursive=settings.max_recursive_n, fast=settings.max_n)
    worker = Worker(store, slot, bounds, name)
    tasks.register(app, worker)
    app.steps["consumer"].add(LoadStep)

    def keep_our_logging(**_: object) -> None:
        """Connected, so that Celery leaves logging alone."""

    def ready(**_: object) -> None:
        slot.write(Now(Phase.IDLE))

    signals.setup_logging.connect(keep_our_logging, weak=False)
    signals.worker_ready.connect(ready, weak=False)
    process = app.Worker(
        hostname=name,
        pool=pool_of(worker),
        consumer_cls="fibworker.consumer:Consumer",
        concurrency=1,
        queues=[settings.queue],
        task_events=True,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    process.start()
    return process.exitcode or 0


def _leave_with_supervisor() -> None:
    # Standard input is a pipe whose other end only the supervisor holds.
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
