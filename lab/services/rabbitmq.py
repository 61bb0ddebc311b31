"""RabbitMQ as a plain process."""

from __future__ import annotations

import shutil
import socket
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lab import images
from lab.services.base import Service, free_port
from lab.settings import Settings


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
        """Ports are free ones unless given. `config` is more of rabbitmq.conf, text or keys and values; it wins over the defaults."""
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
            with urllib.request.urlopen(self.management_url, timeout=2):
                return True
        except urllib.error.HTTPError as error:
            return error.code == 401
        except OSError:
            return False


def _conf(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
