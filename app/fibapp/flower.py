"""Role `flower`: Flower with our configuration, started from here so that no credential stands in an argument or in the environment."""

import logging
from pathlib import Path

from fibapp.queue import create_celery
from fibapp.settings import Settings

CONFIGURATION = Path(__file__).with_name("flowerconfig.py")


def run(settings: Settings) -> None:
    """Serve Flower until SIGTERM."""
    # It says so about each question a worker is too late to answer.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    app = create_celery(settings)
    app.start(["flower", f"--conf={CONFIGURATION}"])
