"""Real RabbitMQ and PostgreSQL as plain processes on loopback, from the very root file systems and entry scripts of the lab's images.

No cluster, no docker; root is needed for the namespaces. Instances run side by side, each with its own ports and data:

    with RabbitMQ() as broker, PostgreSQL() as database:
        connect(broker.url, database.url)
        broker.kill(); broker.start()        # a crash and a restart, the data is kept
        broker.freeze(); broker.thaw()       # silence without a closed connection
        broker.stop(); broker.wipe(); broker.start()

Every process of an instance is in a PID namespace of its own and dies with the Python process that started it.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, ClassVar, Self

from lab import images
from lab.process import child_of
from lab.settings import REPOSITORY, LabError, Settings

START_SECONDS = 120.0


def free_port() -> int:
    """A loopback TCP port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class _Spawner:
    """Starts children from one thread that lives as long as the program.

    A child's parent-death signal comes at the end of the *thread* that started it, so a short-lived one must not.
    """

    def __init__(self) -> None:
        self._work: SimpleQueue[tuple[Callable[[], subprocess.Popen[bytes]], Future[subprocess.Popen[bytes]]]] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._guard = threading.Lock()

    def __call__(self, start: Callable[[], subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
        with self._guard:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._serve, name="lab-services", daemon=True)
                self._thread.start()
        future: Future[subprocess.Popen[bytes]] = Future()
        self._work.put((start, future))
        return future.result()

    def _serve(self) -> None:
        while True:
            start, future = self._work.get()
            try:
                future.set_result(start())
            except BaseException as error:
                future.set_exception(error)


_spawn = _Spawner()


class Service:
    """One server process tree: started from an image's root, waited for, killed, frozen, restarted."""

    image: ClassVar[str]
    volume: ClassVar[str]
    writable: ClassVar[Sequence[str]] = ()
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    default_command: ClassVar[Sequence[str]]

    def __init__(self, data_dir: Path | str | None = None, log_file: Path | str | None = None) -> None:
        """Without `data_dir` the data lies in a temporary folder that `close` deletes; `log_file` is by default inside the instance's folder."""
        self._own_folder = Path(tempfile.mkdtemp(prefix=f"fiblab-{self.image}-"))
        self.data_dir = Path(data_dir) if data_dir else self._own_folder / "data"
        self.log_file = Path(log_file) if log_file else self._own_folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        atexit.register(self.close)

    # What a kind of server decides.

    def environment(self) -> dict[str, str]:
        """Variables of the container."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """Arguments of the entry script."""
        return list(self.default_command)

    def accepts(self) -> bool:
        """True once clients can work."""
        raise NotImplementedError

    def mounts(self) -> dict[str, str]:
        """Further folders of the host, by their place in the container."""
        return {}

    # Life.

    def start(self, seconds: float = START_SECONDS) -> Self:
        """Start the server and return when it accepts clients; a LabError with the end of its log if it does not within `seconds`."""
        self.launch()
        self.wait_ready(seconds)
        return self

    def launch(self) -> None:
        """Start the server without waiting for it."""
        if self.running:
            raise LabError(f"this {self.image} is running already")
        settings = Settings.from_environment()
        images.ensure(settings, [self.image])
        self.data_dir.mkdir(parents=True, exist_ok=True)
        os.chown(self.data_dir, 999, 999)
        plan = {
            "root": str(images.root(settings, self.image)),
            "mounts": {self.volume: str(self.data_dir), **self.mounts()},
            "writable": list(self.writable),
            "environment": self.environment(),
            "command": ["docker-entrypoint.sh", *self.command()],
        }
        line = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
        line += [sys.executable, "-m", "lab.container", json.dumps(plan)]
        with self.log_file.open("ab") as log:
            self._process = _spawn(
                lambda: subprocess.Popen(line, cwd=REPOSITORY, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            )

    def wait_ready(self, seconds: float = START_SECONDS) -> None:
        """Return when the server accepts clients."""
        end = time.monotonic() + seconds
        while not self.accepts():
            if not self.running:
                raise LabError(f"{self.image} ended while it started; the end of its log:\n{self.log_tail()}")
            if time.monotonic() > end:
                raise LabError(f"{self.image} does not accept clients after {seconds:.0f} s; the end of its log:\n{self.log_tail()}")
            time.sleep(0.05)

    @property
    def running(self) -> bool:
        """True while the server's processes are there (frozen ones too)."""
        return self._process is not None and self._process.poll() is None

    def stop(self, seconds: float = 60) -> None:
        """End the server in good order, by the signal its image names; SIGKILL after `seconds`."""
        if self._process is None or not self.running:
            return
        self.thaw()
        if first := child_of(self._process.pid):
            os.kill(first, self.stop_signal)
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL the whole process tree, as a crash of the node would, and return when it is gone."""
        if self._process is None or not self.running:
            return
        # When the namespace's first process dies the kernel kills the others; unshare returns after that.
        if first := child_of(self._process.pid):
            os.kill(first, signal.SIGKILL)
        else:
            self._process.kill()
        self._process.wait()

    def restart(self, seconds: float = START_SECONDS) -> None:
        """Stop in good order and start again on the same data."""
        self.stop()
        self.start(seconds)

    def freeze(self) -> None:
        """SIGSTOP the whole tree: connections stay open, nothing answers. Returns when every process stands still."""
        while moving := [pid for pid, state in self._tree().items() if state not in "TtZX"]:
            for pid in moving:
                _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT the whole tree."""
        for pid in self._tree():
            _signal(pid, signal.SIGCONT)

    def wipe(self) -> None:
        """Delete the data of a stopped server, as a lost volume would."""
        if self.running:
            raise LabError("stop or kill the server before its data is deleted")
        shutil.rmtree(self.data_dir, ignore_errors=True)

    def close(self) -> None:
        """Kill the server and delete what lies in the temporary folder."""
        atexit.unregister(self.close)
        self.kill()
        shutil.rmtree(self._own_folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self if self.running else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def log_tail(self, lines: int = 25) -> str:
        """The last lines the server printed."""
        try:
            return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return "(no log)"

    def _tree(self) -> dict[int, str]:
        """Pid and state letter of every process in the server's PID namespace."""
        first = child_of(self._process.pid) if self._process else None
        if first is None:
            return {}
        space = _pid_namespace(first)
        found: dict[int, str] = {}
        if space is None:
            return found
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and _pid_namespace(int(entry.name)) == space:
                try:
                    found[int(entry.name)] = (entry / "stat").read_text().rpartition(")")[2].split()[0]
                except OSError:
                    continue
        return found


def _pid_namespace(pid: int) -> str | None:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return None


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


class RabbitMQ(Service):
    """RabbitMQ 4.3 with the management and prometheus plugins; by default user, password and virtual host `fib`."""

    image = "rabbitmq"
    volume = "/var/lib/rabbitmq"
    writable = ("/tmp", "/var/log/rabbitmq")  # noqa: S108 - inside the container
    default_command = ("rabbitmq-server",)

    def __init__(
        self,
        port: int | None = None,
        management_port: int | None = None,
        data_dir: Path | str | None = None,
        config: dict[str, Any] | str | None = None,
        *,
        user: str = "fib",
        password: str = "fib",  # noqa: S107 - a test broker on loopback
        vhost: str = "fib",
        tags: Sequence[str] = ("administrator",),
        log_file: Path | str | None = None,
    ) -> None:
        """Ports are free ones unless given. `config` is more of rabbitmq.conf, as text or as keys and values, and wins over the defaults."""
        super().__init__(data_dir, log_file)
        self.port = port or free_port()
        self.management_port = management_port or free_port()
        self.prometheus_port = free_port()
        self._distribution_port, self._epmd_port = free_port(), free_port()
        self.user, self.password, self.vhost, self.tags = user, password, vhost, tuple(tags)
        self.config = config if isinstance(config, str) else "\n".join(f"{key} = {_conf(value)}" for key, value in (config or {}).items())

    @property
    def url(self) -> str:
        """amqp:// URL with user and virtual host."""
        return f"amqp://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.vhost}"

    @property
    def management_url(self) -> str:
        """http:// URL of the management API, with its final slash and without credentials."""
        return f"http://127.0.0.1:{self.management_port}/api/"

    def environment(self) -> dict[str, str]:
        """Node name and ports of this instance."""
        return {
            "PATH": "/opt/rabbitmq/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": self.volume,
            "LANG": "C.UTF-8",
            "LC_ALL": "C.UTF-8",
            # The node name is part of the data's path: it must stay the same for the same data.
            "RABBITMQ_NODENAME": "rabbit@localhost",
            "RABBITMQ_DIST_PORT": str(self._distribution_port),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def mounts(self) -> dict[str, str]:
        """The image's conf.d plus this instance's file."""
        folder = self._own_folder / "conf.d"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(images.root(Settings.from_environment(), self.image) / "etc/rabbitmq/conf.d", folder)
        lines = [
            f"listeners.tcp.1 = 127.0.0.1:{self.port}",
            "management.tcp.ip = 127.0.0.1",
            f"management.tcp.port = {self.management_port}",
            "prometheus.tcp.ip = 127.0.0.1",
            f"prometheus.tcp.port = {self.prometheus_port}",
            f"default_vhost = {self.vhost}",
            f"default_user = {self.user}",
            f"default_pass = {self.password}",
            *(f"default_user_tags.{tag} = true" for tag in self.tags),
        ]
        (folder / "20-instance.conf").write_text("\n".join(lines) + "\n")
        (folder / "90-config.conf").write_text(self.config + "\n")
        return {"/etc/rabbitmq/conf.d": str(folder)}

    def accepts(self) -> bool:
        """True once AMQP clients are greeted and the management API answers."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as client:
                client.settimeout(2)
                client.sendall(b"AMQP\0\0\x09\x01")
                if client.recv(1) != b"\x01":  # a method frame: Connection.Start
                    return False
            with urllib.request.urlopen(self.management_url, timeout=2):  # noqa: S310 - http on loopback
                return True
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False


def _conf(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


class PostgreSQL(Service):
    """PostgreSQL 18 with password logins over TCP; by default role, password and database `fib`, fsync on as users have it."""

    image = "postgres"
    volume = "/var/lib/postgresql"
    writable = ("/tmp", "/run/postgresql")  # noqa: S108 - inside the container; not /var/run, a link the host would follow
    stop_signal = signal.SIGINT
    default_command = ("postgres",)

    def __init__(
        self,
        port: int | None = None,
        data_dir: Path | str | None = None,
        args: Sequence[str] = (),
        *,
        user: str = "fib",
        password: str = "fib",  # noqa: S107 - a test database on loopback
        database: str = "fib",
        environment: dict[str, str] | None = None,
        init_dir: Path | str | None = None,
        log_file: Path | str | None = None,
    ) -> None:
        """`args` follow `postgres` (for example `-c`, `fsync=off`); `init_dir` stands for /docker-entrypoint-initdb.d; `environment` adds variables."""
        super().__init__(data_dir, log_file)
        self.port = port or free_port()
        self.user, self.password, self.database = user, password, database
        self.args = tuple(args)
        self.more_environment = dict(environment or {})
        self.init_dir = Path(init_dir) if init_dir else None

    @property
    def url(self) -> str:
        """postgresql:// URL with user and database."""
        return f"postgresql://{self.user}:{self.password}@127.0.0.1:{self.port}/{self.database}"

    def environment(self) -> dict[str, str]:
        """The official image's variables."""
        return {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/postgresql/18/bin",
            "HOME": self.volume,
            "LANG": "en_US.utf8",
            "PGDATA": "/var/lib/postgresql/18/docker",
            "POSTGRES_USER": self.user,
            "POSTGRES_PASSWORD": self.password,
            "POSTGRES_DB": self.database,
            **self.more_environment,
        }

    def command(self) -> list[str]:
        """The server on loopback at its port."""
        return ["postgres", "-c", "listen_addresses=127.0.0.1", "-c", f"port={self.port}", *self.args]

    def mounts(self) -> dict[str, str]:
        """The init files, if there are any."""
        return {"/docker-entrypoint-initdb.d": str(self.init_dir)} if self.init_dir else {}

    def accepts(self) -> bool:
        """True once a login is answered with a question for the password: not while the server starts up or recovers."""
        body = b"\0\x03\0\0user\0" + self.user.encode() + b"\0database\0" + self.database.encode() + b"\0\0"
        try:
            with socket.create_connection(("127.0.0.1", self.port), 2) as client:
                client.settimeout(2)
                client.sendall((len(body) + 4).to_bytes(4, "big") + body)
                return client.recv(1) == b"R"
        except OSError:
            return False
