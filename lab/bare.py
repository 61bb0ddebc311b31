"""A control plane without nodes, on loopback: etcd, API server and controllers as children of the calling program.

For tests of controllers: it starts in three seconds, needs no root, and may be killed, restarted and thrown away at will.
Pods stay Pending; everything else (garbage collection, defaults, admission, RBAC, watches) is the real thing.
"""

from __future__ import annotations

import json
import ssl
import subprocess
import tempfile
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from lab.process import run, wait_for
from lab.services import free_port
from lab.settings import LAB, Settings

TOKEN = "bare-control-plane-admin"  # noqa: S105 - for this control plane only, on loopback


class BareControlPlane:
    """One control plane; use it as a context manager, or call `close`."""

    def __init__(self, settings: Settings | None = None, admission: Sequence[str] = ()) -> None:
        """`admission` names admission plugins to switch on besides the usual ones."""
        self._admission = ["NamespaceLifecycle", *admission]
        self._settings = settings or Settings.from_environment()
        self._folder = tempfile.TemporaryDirectory(prefix="fiblab-bare-")
        self.folder = Path(self._folder.name)
        self.kubeconfig = self.folder / "kubeconfig"
        self.audit_log = self.folder / "audit.log"
        self._etcd_port, self._etcd_peer_port, self.port = free_port(), free_port(), free_port()
        self._programs: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        """Address of the API server."""
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> Self:
        """Start everything and return when the API server is ready and garbage is collected."""
        run("openssl", "genrsa", "-out", self.folder / "sa.key", "2048")
        run("openssl", "rsa", "-in", self.folder / "sa.key", "-pubout", "-out", self.folder / "sa.pub")
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n')
        self.write_kubeconfig(self.kubeconfig, TOKEN)
        self._start("etcd", self._etcd_flags())
        self.start_apiserver()
        self._start("kube-controller-manager", self._controller_flags())
        return self

    def start_apiserver(self) -> None:
        """Start the API server, also again after `kill_apiserver`, and wait until it is ready."""
        self._start("kube-apiserver", self._apiserver_flags())
        wait_for("the API server to be ready", self._is_ready, 60)

    def kill_apiserver(self) -> None:
        """SIGKILL the API server; etcd keeps the state."""
        self._kill("kube-apiserver")

    def write_kubeconfig(self, path: Path, token: str, server: str | None = None) -> None:
        """Write a kubeconfig that logs in by a token, at the API server or at a proxy before it."""
        cluster: dict[str, Any] = {"server": server or self.url, "insecure-skip-tls-verify": True}
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "v1",
                    "kind": "Config",
                    "clusters": [{"name": "bare", "cluster": cluster}],
                    "users": [{"name": "user", "user": {"token": token}}],
                    "contexts": [{"name": "bare", "context": {"cluster": "bare", "user": "user"}}],
                    "current-context": "bare",
                }
            )
        )

    def close(self) -> None:
        """End all programs and delete the state."""
        for name in list(self._programs):
            self._kill(name)
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self, name: str, flags: list[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            # The program dies with this one, however that ends.
            command = ["setpriv", "--pdeathsig", "KILL", str(self._settings.bin / name), *flags]
            self._programs[name] = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _kill(self, name: str) -> None:
        program = self._programs.pop(name, None)
        if program:
            program.kill()
            program.wait()

    def _is_ready(self) -> bool:
        with suppress(OSError):
            request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {TOKEN}"})
            context = ssl._create_unverified_context()  # noqa: S323 - its certificate is its own
            with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                return bool(answer.status == 200)
        return False

    def _etcd_flags(self) -> list[str]:
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._etcd_peer_port}"
        return [
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        ]

    def _apiserver_flags(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            f"--enable-admission-plugins={','.join(self._admission)}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self.folder / 'sa.pub'}",
            f"--service-account-signing-key-file={self.folder / 'sa.key'}",
            f"--audit-policy-file={LAB / 'config/audit-policy.yaml'}",
            f"--audit-log-path={self.audit_log}",
        ]

    def _controller_flags(self) -> list[str]:
        return [
            f"--kubeconfig={self.kubeconfig}",
            "--leader-elect=false",
            "--controllers=*,-horizontal-pod-autoscaler-controller",  # it would only tell of missing metrics, at its own times
            "--bind-address=127.0.0.1",
            f"--secure-port={free_port()}",
            f"--cert-dir={self.folder / 'certificates'}",
            f"--service-account-private-key-file={self.folder / 'sa.key'}",
            "--kube-api-qps=300",
            "--kube-api-burst=600",
        ]
