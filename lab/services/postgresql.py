"""PostgreSQL as a plain process."""

from __future__ import annotations

import signal
import socket
from collections.abc import Sequence
from pathlib import Path

from lab.services.base import Service, free_port


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
        """`args` follow `postgres` (`-c`, `fsync=off`); `init_dir` is /docker-entrypoint-initdb.d; `environment` adds variables."""
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
