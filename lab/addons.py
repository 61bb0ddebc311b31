"""Objects the cluster gets at its start: access, CoreDNS, metrics API, default StorageClass, Traefik."""

from __future__ import annotations

from string import Template

from lab import process
from lab.settings import CONTROL_PLANE_ADDRESS, DNS_ADDRESS, INGRESS_ADDRESS, LAB, Settings


def rendered() -> str:
    """All manifests as one YAML stream, with the lab's addresses in place."""
    values = {"CONTROL_PLANE_ADDRESS": CONTROL_PLANE_ADDRESS, "DNS_ADDRESS": DNS_ADDRESS, "INGRESS_ADDRESS": INGRESS_ADDRESS}
    files = sorted((LAB / "manifests").glob("*.yaml"))
    return "\n---\n".join(Template(file.read_text()).substitute(values) for file in files)


def apply(settings: Settings) -> None:
    """Apply all manifests; unchanged objects stay as they are."""
    process.run(
        *(settings.bin / "kubectl", f"--kubeconfig={settings.system_kubeconfig}"),
        *("apply", "--server-side", "--force-conflicts", "--field-manager=fiblab", "--filename=-"),
        stdin=rendered(),
    )
