"""Role `flower`: Flower with our configuration and two more tabs, started from here so that no credential stands in an argument or in the
environment, and so that no FLOWER_... variable (a Service of that name makes some) decides anything."""

import logging
import signal
from pathlib import Path

from flower import command
from flower.options import options
from flower.urls import settings as application_settings

from fibapp.flower.dashboard import Dashboard
from fibapp.queue import create_celery
from fibapp.settings import Settings

CONFIGURATION = Path(__file__).with_name("config.py")

logger = logging.getLogger(__name__)


def run(settings: Settings) -> None:
    """Serve Flower until SIGTERM. Raises SystemExit for settings that would leave it open to everybody."""
    # It says so about each question a worker is too late to answer.
    logging.getLogger("flower.inspector").setLevel(logging.ERROR)
    app = create_celery(settings)
    command.apply_options("flower", [f"--conf={CONFIGURATION}"])
    command.extract_settings()
    command.setup_logging()
    dashboard = Dashboard(capp=app, options=options, **application_settings)
    signal.signal(signal.SIGTERM, command.sigterm_handler)
    port = dashboard.start_http_server()
    logger.info("Flower is on port %s under /%s/", port, options.url_prefix)
    try:
        dashboard.start()
    finally:
        dashboard.stop()
