"""A whole pipeline of plain processes: API, relay, workers and Flower on real servers, each test's in a database and a vhost of its own."""

import contextlib
import json
import os
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx
import psycopg2
from kombu import Connection

from lab.services import PostgreSQL, RabbitMQ, free_port
from tests.services.process import Process
from tests.services.promise import COLUMNS, Verdict, judge
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
SABOTAGE = Path(__file__).with_name("sabotage")
FLOWER_LOGIN = ("watcher", "flower-pa55")

# Shorter than in a pipeline, so that waiting for them fits into a test.
FAST = {
    "FIB_LEASE_SECONDS": "3",
    "FIB_RELAY_HOLD_SECONDS": "1",
    "FIB_RELAY_GRACE_SECONDS": "1",
    "FIB_RELAY_BASE_SECONDS": "2",
    "FIB_RELAY_CAP_SECONDS": "8",
    "FIB_JOB_TIME_LIMIT_SECONDS": "60",
}


_MODELS: dict[str, str] = {}
"""By server: a migrated database to copy."""


class Pipeline:
    """Starts processes over `broker` and `database` and asks them what people would ask."""

    def __init__(self, broker: RabbitMQ, database: PostgreSQL, folder: Path, settings: dict[str, str] | None = None) -> None:
        self.broker = broker
        self.database = database
        self.folder = folder
        self.name = f"t{uuid4().hex[:10]}"
        self.processes: list[Process] = []
        self.settings = {**FAST, **(settings or {})}
        self.make_vhost()
        self.api_port = free_port()
        self.internal_port = free_port()
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{self.api_port}", timeout=10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.processes:
            process.close()
        self.client.close()

    @property
    def database_url(self) -> str:
        """The pipeline's own database."""
        return self.database.url.rpartition("/")[0] + f"/{self.name}"

    @property
    def broker_url(self) -> str:
        """The pipeline's own vhost."""
        return self.broker.url.rpartition("/")[0] + f"/{self.name}"

    # Processes.

    def up(self, *, workers: int = 1, concurrency: int = 1) -> Self:
        """Make the database, start one API, one relay and `workers` workers, and wait until all serve."""
        self.migrate()
        api = self.start_api(wait=False)
        self.start_relay()
        started = [self.start_worker(concurrency=concurrency, wait=False) for _ in range(workers)]
        for process in (api, *started):
            self.serves(process)
        return self

    def migrate(self) -> None:
        """Make the pipeline's database with its schema. Only a server's first is migrated, the others are copies of it: that is faster."""
        model = _MODELS.get(self.database.url)
        with self.connection(self.database.url) as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {self.name}" + (f" TEMPLATE {model}" if model else ""))
            if model is None:
                assert self._start("migrate", ["-m", "fibapp", "migrate"]).wait() == 0
                cursor.execute(f"CREATE DATABASE {self.name}_model TEMPLATE {self.name}")
                _MODELS[self.database.url] = f"{self.name}_model"

    def start_api(self, *, sabotage: str = "", wait: bool = True) -> Process:
        """Start the API; only one at a time."""
        ports = {"FIB_API_PORT": str(self.api_port), "FIB_API_INTERNAL_PORT": str(self.internal_port)}
        process = self._start("api", ["-m", "fibapp", "api"], ports, sabotage)
        process.health = f"http://127.0.0.1:{self.api_port}/api/healthz"
        if wait:
            self.serves(process)
        return process

    def start_relay(self, *, sabotage: str = "") -> Process:
        """Start a relay; `process.port` answers health and metrics."""
        port = free_port()
        process = self._start("relay", ["-m", "fibapp", "relay"], {"FIB_RELAY_PORT": str(port)}, sabotage)
        process.port = port
        return process

    def start_worker(self, *, concurrency: int = 1, sabotage: str = "", wait: bool = True, **settings: str) -> Process:
        """Start a worker pod's processes; `process.port` answers health and metrics."""
        port = free_port()
        more = {"FIB_WORKER_PORT": str(port), "FIB_POD_NAME": f"pod-{port}", "FIB_WORKER_CONCURRENCY": str(concurrency), **settings}
        process = self._start("worker", ["-m", "fibworker"], more, sabotage)
        process.port = port
        process.health = f"http://127.0.0.1:{port}/readyz"
        if wait:
            self.serves(process)
        return process

    def start_flower(self) -> tuple[Process, httpx.Client]:
        """Start Flower; returns it and a client that is logged in."""
        port = free_port()
        process = self._start("flower", ["-m", "fibapp", "flower"], {"FIB_FLOWER_PORT": str(port)})
        process.health = f"http://127.0.0.1:{port}/flower/healthcheck"
        self.serves(process)
        return process, httpx.Client(base_url=f"http://127.0.0.1:{port}", auth=FLOWER_LOGIN, timeout=10)

    def _start(self, role: str, arguments: Sequence[str], more: dict[str, str] | None = None, sabotage: str = "") -> Process:
        path = [str(ROOT / "app"), str(ROOT / "worker")]
        environment = {
            "PATH": os.environ["PATH"],
            "FIB_DATABASE_URL": self.database_url,
            "FIB_BROKER_URL": self.broker_url,
            "FIB_BROKER_API_URL": self.broker.management_url,
            "FIB_FLOWER_BASIC_AUTH": ":".join(FLOWER_LOGIN),
            "FIB_FLOWER_COOKIE_SECRET": "c" * 32,
            "FIB_LISTEN_HOST": "127.0.0.1",
            "PYTHONPATH": os.pathsep.join([str(SABOTAGE), *path] if sabotage else path),
            "SABOTAGE": sabotage,
            **self.settings,
            **(more or {}),
        }
        process = Process(arguments, environment, self.folder / f"{len(self.processes)}-{role}.log")
        self.processes.append(process)
        return process

    def serves(self, process: Process) -> None:
        """Wait until `process` says that it is ready."""

        def answers() -> bool:
            assert process.running, f"the process ended:\n{process.log.read_text()[-3000:]}"
            with contextlib.suppress(httpx.TransportError):
                return httpx.get(process.health, timeout=2).status_code == 200
            return False

        eventually(answers, f"200 from {process.health}", 60, 0.05)

    # What the operator does.

    def load(self, since: str | None = None, wait: float = 0) -> dict[str, Any]:
        """Ask the internal port for the load."""
        answer = self.question(**({"since": since} if since else {}), wait=str(wait))
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def question(self, **query: str) -> httpx.Response:
        """Ask the internal port for the load, with any query."""
        return httpx.get(f"http://127.0.0.1:{self.internal_port}/load", params=query, timeout=90)

    def decide(self, decision: Any) -> httpx.Response:
        """Push a decision to the internal port."""
        return httpx.put(f"http://127.0.0.1:{self.internal_port}/scaling", json=decision, timeout=30)

    def ask_load(self, body: Any) -> httpx.Response:
        """Post anything to /load, as operators of release 0.1 do."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(f"http://127.0.0.1:{self.internal_port}/load", content=content, timeout=90)

    # What people do.

    def submit(self, n: int, algorithm: str = "recursive", **headers: str) -> str:
        """Post one job; returns its id."""
        answer = self.client.post("/api/jobs", json={"n": n, "algorithm": algorithm}, headers=headers)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def submit_many(self, numbers: Sequence[int], algorithm: str = "recursive") -> list[str]:
        """Post a batch; returns the ids."""
        answer = self.client.post("/api/batches", json={"jobs": [{"n": n, "algorithm": algorithm} for n in numbers]})
        assert answer.status_code == 202, answer.text
        return [job["id"] for job in answer.json()["jobs"]]

    def page_url(self, path: str = "/api/") -> str:
        """What a person types into the browser."""
        return f"http://127.0.0.1:{self.api_port}{path}"

    def job(self, job_id: str) -> dict[str, Any]:
        """The job document."""
        answer = self.client.get(f"/api/jobs/{job_id}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def until(self, job_id: str, state: str, seconds: float = 30) -> dict[str, Any]:
        """Wait until the job is in `state`; returns it."""

        def reached() -> dict[str, Any] | None:
            job = self.job(job_id)
            return job if job["state"] == state else None

        return eventually(lambda: reached(), f"job {job_id} to be {state}", seconds, 0.05) or {}

    def until_all_done(self, ids: Sequence[str], seconds: float = 60) -> None:
        """Wait until every job is done, then check values and that each was written once."""
        eventually(lambda: self.count("state <> 'done'", ids) == 0, f"{len(ids)} jobs to be done", seconds)
        self.check_promise(ids)

    def judge(self, ids: Sequence[str]) -> Verdict:
        """Whether the promise was kept for `ids`, as things are now."""
        return judge(ids, self.rows(COLUMNS, ids))

    def check_promise(self, ids: Sequence[str]) -> None:
        """No accepted job is lost; each result is right and was stored once."""
        verdict = self.judge(ids)
        assert verdict.kept, verdict

    # What only a test may look at.

    def rows(self, columns: str, ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Columns of the rows of `ids`, or of all."""
        where = "TRUE" if ids is None else "id = ANY(%s::uuid[])"
        with self.connection() as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT {columns} FROM jobs WHERE {where} ORDER BY seq", (list(ids or ()),) if ids is not None else None)  # noqa: S608
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def row(self, job_id: str, columns: str = "*") -> dict[str, Any]:
        """One row."""
        return self.rows(columns, [job_id])[0]

    def count(self, condition: str, ids: Sequence[str]) -> int:
        """How many rows of `ids` fulfil an SQL condition."""
        return int(self.rows(f"count(*) FILTER (WHERE {condition}) OVER () AS found", ids)[0]["found"])

    @contextlib.contextmanager
    def connection(self, url: str = "") -> Iterator[Any]:
        """A connection of the test's own to the pipeline's database."""
        connection = psycopg2.connect(url or self.database_url, connect_timeout=5)
        connection.autocommit = True
        try:
            yield connection
        finally:
            connection.close()

    def manage(self, method: str, path: str, body: Any = None) -> Any:
        """Ask RabbitMQ's management API; `{vhost}` in the path stands for ours."""
        url = self.broker.management_url + path.replace("{vhost}", urllib.parse.quote(self.name, safe=""))

        def ask() -> list[httpx.Response]:
            answer = httpx.request(method, url, json=body, auth=(self.broker.user, self.broker.password), timeout=10)
            return [answer] if answer.status_code < 500 else []  # just started, it knows nothing yet

        [answer] = eventually(ask, f"an answer to {method} {path}")
        assert answer.status_code < 300, f"{method} {path}: {answer.status_code} {answer.text}"
        return json.loads(answer.text) if answer.text else None

    def drain_messages(self, queue: str) -> list[dict[str, Any]]:
        """Take the messages that wait in a queue out of it."""
        body = {"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}
        return list(self.manage("POST", f"queues/{{vhost}}/{queue}/get", body))

    def depth(self) -> int:
        """How many messages wait in the queue right now (the management API knows only how many did some seconds ago)."""
        with Connection(self.broker_url) as broker, broker.channel() as channel:
            return int(channel.queue_declare("fib", passive=True).message_count)

    @contextlib.contextmanager
    def closed_database(self) -> Iterator[None]:
        """For a while nobody gets into this pipeline's database, and who is inside is thrown out."""
        with self.connection(self.database.url) as connection, connection.cursor() as cursor:
            cursor.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS false")
            cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (self.name,))
            try:
                yield
            finally:
                cursor.execute(f"ALTER DATABASE {self.name} ALLOW_CONNECTIONS true")

    def log(self, role: str = "") -> str:
        """What the processes of `role` (or all) wrote."""
        return "\n".join(file.read_text(errors="replace") for file in sorted(self.folder.glob(f"*{role}.log")))

    def make_vhost(self) -> None:
        """Create the pipeline's vhost."""
        self.manage("PUT", "vhosts/{vhost}")
        self.manage("PUT", f"permissions/{{vhost}}/{self.broker.user}", {"configure": ".*", "write": ".*", "read": ".*"})
