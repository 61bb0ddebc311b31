"""The servers under the benchmarks, and what every system on them has: a database and a virtual host of its own."""

import contextlib
import http.client
import json
import shutil
import tempfile
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg2

from bench.processes import Program, wait_until
from lab.services import PostgreSQL, RabbitMQ


class Stage:
    """A real RabbitMQ and PostgreSQL (fsync on, as users have it), shared by all systems of a run."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fib-bench-"))
        self.broker = RabbitMQ()
        self.database = PostgreSQL()
        self._names = 0

    def __enter__(self) -> Self:
        self.broker.launch()
        self.database.start()
        self.broker.wait_ready()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.broker.close()
        self.database.close()
        if error is None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def name(self, prefix: str) -> str:
        """A name nobody has used on this stage."""
        self._names += 1
        return f"{prefix}{self._names}"

    def make_database(self, name: str) -> str:
        """Create a database; returns its URL."""
        with connect(self.database.url) as cursor:
            cursor.execute(f"CREATE DATABASE {name}")
        return self.database.url.rpartition("/")[0] + f"/{name}"

    def drop_database(self, name: str) -> None:
        """Delete a database, whoever is connected."""
        with connect(self.database.url) as cursor:
            cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def make_vhost(self, name: str) -> str:
        """Create a virtual host; returns its URL."""
        self._manage("PUT", f"vhosts/{name}")
        self._manage("PUT", f"permissions/{name}/{self.broker.user}", {"configure": ".*", "write": ".*", "read": ".*"})
        return self.broker.url.rpartition("/")[0] + f"/{name}"

    def drop_vhost(self, name: str) -> None:
        """Delete a virtual host with its queues."""
        self._manage("DELETE", f"vhosts/{name}")

    def _manage(self, method: str, path: str, body: Any = None) -> None:
        login = b64encode(f"{self.broker.user}:{self.broker.password}".encode()).decode()
        headers = {"Authorization": f"Basic {login}", "Content-Type": "application/json"}
        data = json.dumps(body or {}).encode()
        with urllib.request.urlopen(urllib.request.Request(self.broker.management_url + path, data, headers, method=method), timeout=30):
            return


class System:
    """A set of programs on a database and a virtual host of its own; all of it is gone at the end."""

    kind = "system"

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.name = stage.name(self.kind)
        self.database_url = stage.make_database(self.name)
        self.broker_url = stage.make_vhost(self.name)
        self.programs: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in self.programs:
            program.kill()
        self.stage.drop_database(self.name)
        self.stage.drop_vhost(self.name)

    def start(self, role: str, arguments: Sequence[str], environment: Mapping[str, str]) -> Program:
        """Start a program of this system."""
        program = Program(arguments, environment, self.stage.folder / f"{self.name}-{len(self.programs)}-{role}.log")
        self.programs.append(program)
        return program

    @contextlib.contextmanager
    def cursor(self) -> Iterator[Any]:
        """A cursor of the benchmark's own; every statement commits."""
        with connect(self.database_url) as cursor:
            yield cursor

    def scalar(self, statement: str) -> Any:
        """The first column of the first row."""
        with self.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone()[0]


@contextlib.contextmanager
def connect(url: str) -> Iterator[Any]:
    """A cursor on a connection of its own."""
    connection = psycopg2.connect(url, connect_timeout=10)
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def wait_http(program: Program, port: int, path: str) -> None:
    """Return when the program answers 200."""

    def answers() -> bool:
        if not program.running:
            program.answer()
        client = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError, http.client.HTTPException):
            client.request("GET", path)
            return client.getresponse().status == 200
        return False

    wait_until(f"200 from port {port}{path}; log:\n{program.tail()}", answers)
