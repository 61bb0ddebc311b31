"""Role `api`: gunicorn with threads in one process, so that one Prometheus registry and one connection pool serve all of it."""

from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

from fibapp import httpd
from fibapp.api import create_app
from fibapp.settings import Settings
from fibapp.store import Database

BODY_SECONDS = 5.0
"""How long a client may pause while it sends its request."""


def bind_address(host: str, port: int) -> str:
    """An address as gunicorn reads it; an empty host stands for all addresses."""
    host = host or httpd.any_address()
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Log(Logger):  # type: ignore[misc]
    """gunicorn's messages, written by the handlers of this process like all others; no access log, the metrics count requests."""

    def setup(self, cfg: Any) -> None:
        """Leave the handlers as they are."""
        self.error_log.propagate = True
        self.error_log.setLevel(cfg.loglevel.upper())
        self.access_log.disabled = True


class Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, set up in code."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._app: Flask | None = None
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        options: dict[str, Any] = {
            "bind": bind_address(self._settings.listen_host, self._settings.api_port),
            "worker_class": "gthread",
            "workers": 1,
            "threads": self._settings.api_threads,
            "keepalive": 75,
            "graceful_timeout": 20,
            "control_socket_disable": True,
            "loglevel": self._settings.log_level.lower(),
            "logger_class": Log,
            "limit_request_line": 4094,
            "post_worker_init": self._serve_internal,
        }
        for name, value in options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:
        """The WSGI application, made in the worker process."""
        settings = self._settings
        database = Database(
            settings.database_url.get_secret_value(),
            role="api",
            connections=settings.api_database_connections,
            timeout=settings.database_timeout_seconds,
        )
        self._app = create_app(settings, database)
        return _patient_only(self._app)

    def _serve_internal(self, _worker: Any) -> None:
        assert self._app is not None, "gunicorn loads the application before this"
        handlers = self._app.extensions["load"].handlers()
        httpd.serve(self._settings.listen_host, self._settings.api_internal_port, {"/metrics": httpd.metrics}, handlers)


def _patient_only(app: Flask) -> Any:
    """Bound the wait for a body that comes slowly: gthread does not, and each such client would hold a thread for ever."""

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        connection = environ.get("gunicorn.socket")
        if connection is not None:
            connection.settimeout(BODY_SECONDS)
        return app(environ, start_response)

    return application


def run(settings: Settings) -> None:
    """Serve until SIGTERM."""
    Server(settings).run()
