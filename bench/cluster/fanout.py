"""A floor for operators: the same server-side applies by a bare asynchronous client, with nothing decided and nothing watched."""

import asyncio
import copy
import json
import time
from collections.abc import Sequence
from typing import Any

import aiohttp

from bench.cluster.control import Control
from fiboperator.kinds import APPLIED_KINDS
from fiboperator.names import CHILD_SELECTOR
from lab.bare import TOKEN

Object = dict[str, Any]
SERVER_FIELDS = ("uid", "resourceVersion", "creationTimestamp", "managedFields", "generation", "ownerReferences", "namespace")


def children(control: Control, namespace: str) -> list[Object]:
    """What the operator applied in a namespace, as manifests that anybody can apply elsewhere."""
    found = []
    for kind, (api_version, plural) in APPLIED_KINDS.items():
        path = f"{_group(api_version)}/namespaces/{namespace}/{plural}"
        answer = control.api.get(path, params={"labelSelector": CHILD_SELECTOR}).raise_for_status()
        found += [_manifest(api_version, kind, item) for item in answer.json()["items"]]
    return found


def _manifest(api_version: str, kind: str, live: Object) -> Object:
    manifest = {"apiVersion": api_version, "kind": kind, **copy.deepcopy(live)}
    manifest.pop("status", None)
    for field in SERVER_FIELDS:
        manifest["metadata"].pop(field, None)
    for field in ("clusterIP", "clusterIPs"):
        if kind == "Service" and manifest["spec"].get(field) not in ("None", ["None"]):
            manifest["spec"].pop(field, None)
    return manifest


def apply_all(control: Control, objects: Sequence[Object], namespaces: Sequence[str], concurrency: int) -> list[float]:
    """Apply `objects` in each namespace, one namespace after the other; seconds that each took. `concurrency` bounds requests at once."""
    return asyncio.run(_apply_all(control.plane.url, objects, namespaces, concurrency))


async def _apply_all(url: str, objects: Sequence[Object], namespaces: Sequence[str], concurrency: int) -> list[float]:
    slots = asyncio.Semaphore(concurrency)
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/apply-patch+yaml"}
    parameters = {"fieldManager": "bench", "force": "true", "fieldValidation": "Strict"}
    connector = aiohttp.TCPConnector(ssl=False, limit=concurrency)
    async with aiohttp.ClientSession(url, headers=headers, connector=connector) as session:

        async def apply(item: Object, namespace: str) -> None:
            api_version, plural = APPLIED_KINDS[item["kind"]]
            path = f"{_group(api_version)}/namespaces/{namespace}/{plural}/{item['metadata']['name']}"
            async with slots, session.patch(path, params=parameters, data=json.dumps(item)) as answer:
                answer.raise_for_status()
                await answer.read()

        found = []
        for namespace in namespaces:
            begun = time.perf_counter()
            await asyncio.gather(*(apply(item, namespace) for item in objects))
            found.append(time.perf_counter() - begun)
        return found


def _group(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
