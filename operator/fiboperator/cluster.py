"""The only module that talks to the API server."""

import asyncio
import datetime
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import closing
from typing import Any, Final, Literal, Self

import aiohttp
import orjson
from kubernetes.aio import client, config
from kubernetes.aio.client import rest
from kubernetes.aio.dynamic import DynamicClient
from kubernetes.aio.dynamic.resource import Resource

from . import metrics, names
from .errors import FAILURES, ApiError, Gone, Taken, api_error
from .resources.objects import Object

REQUEST_TIMEOUT_SECONDS: Final = 30
LIST_PAGE: Final = 500
WATCH_SECONDS: Final = 590
# The API server sends a bookmark each minute: a stream that is silent for longer is dead.
WATCH_SILENCE_SECONDS: Final = 70
CONCURRENT_REQUESTS: Final = 16
KEEP_CONNECTION_SECONDS: Final = 80
# With a parameter the client sends bytes as they are; without one it would go through the object twice to make its own JSON of it.
APPLY: Final = "application/apply-patch+yaml; charset=utf-8"

# kind -> (apiVersion, plural). The kinds of children that the operator applies.
APPLIED_KINDS: Final[dict[str, tuple[str, str]]] = {
    "Secret": ("v1", "secrets"),
    "ConfigMap": ("v1", "configmaps"),
    "ServiceAccount": ("v1", "serviceaccounts"),
    "Service": ("v1", "services"),
    "StatefulSet": ("apps/v1", "statefulsets"),
    "Deployment": ("apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers"),
    "Ingress": ("networking.k8s.io/v1", "ingresses"),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies"),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets"),
}
# Of these nothing but the name tells a foreign one from ours, or an overwritten one could not be made again.
POSTED_KINDS: Final = ("Secret", "ConfigMap", "ServiceAccount")
# Kinds that it only looks at.
OBSERVED_KINDS: Final[dict[str, tuple[str, str]]] = {
    "Pod": ("v1", "pods"),
    "PersistentVolumeClaim": ("v1", "persistentvolumeclaims"),
}
WATCHED_KINDS: Final = {**APPLIED_KINDS, **OBSERVED_KINDS}
_ALL_KINDS: Final = {
    **WATCHED_KINDS,
    names.KIND: (names.API_VERSION, names.PLURAL),
    "Event": ("events.k8s.io/v1", "events"),
}


class _Connections(rest.RESTClientObject):
    """Keeps its connections while the API server does (90 s): a pipeline that comes after a pause needs no handshakes."""

    def _create_connector(self) -> aiohttp.TCPConnector:
        return aiohttp.TCPConnector(limit=self.maxsize, ssl=self.ssl_context, keepalive_timeout=KEEP_CONNECTION_SECONDS)


class Cluster:
    """The API server, through one shared client."""

    def __init__(self, api: client.ApiClient, namespace: str | None) -> None:
        self._api = api
        self._namespace = namespace  # None: all namespaces
        self._client = DynamicClient(api)
        self._slots = asyncio.Semaphore(CONCURRENT_REQUESTS)

    @classmethod
    async def connect(cls, namespace: str | None) -> Self:
        """Log in as the pod's ServiceAccount, or by the kubeconfig outside a cluster."""
        configuration = client.Configuration()
        configuration.connection_pool_maxsize = CONCURRENT_REQUESTS + len(WATCHED_KINDS)
        # Otherwise each request looks for a netrc file and for proxies, on a thread: a quarter of its time. A kubeconfig's proxy is used.
        configuration.client_session_kwargs = {"trust_env": False}
        try:
            config.load_incluster_config(client_configuration=configuration)
        except config.ConfigException:
            await config.load_kube_config(client_configuration=configuration)
        api = client.ApiClient(configuration)
        api.rest_client = _Connections(configuration)
        return cls(api, namespace)

    async def close(self) -> None:
        await self._api.close()

    async def has_pipelines(self) -> bool:
        """Whether there is a FibPipeline at all."""
        page = await self._request("get", "list FibPipelines", self._resource(names.KIND).path(namespace=self._namespace), limit=1)
        return bool(page.get("items"))

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object as it is now; None when it does not exist."""
        try:
            return await self._request("get", f"read {kind} {name}", self._resource(kind).path(name, namespace))
        except ApiError as error:
            if error.status == 404:
                return None
            raise

    async def create(self, body: Object) -> Object:
        """Make an object that should not exist yet. Returns it as it is then; raises Taken when a foreign one has the name.

        Server-side apply has no create-only form. But without force it overwrites nothing, an object made by it has one field
        manager only, and applying nothing takes back whatever was added to a foreign one. That does not protect what may be empty,
        such as a ServiceAccount, nor a Secret that we made ourselves and do not see yet: these are posted.
        """
        if body["kind"] in POSTED_KINDS:
            return await self._post(body)
        try:
            made = await self.apply(body, force=False)
        except ApiError as error:
            if error.owned:
                raise Taken(str(error)) from error
            raise
        # A controller that has written its status already makes nothing foreign: the request may have arrived twice.
        entries = [entry for entry in made["metadata"].get("managedFields", []) if not entry.get("subresource")]
        others = {entry["manager"] for entry in entries} - {names.MANAGER}
        if others:
            identity = {key: made["metadata"][key] for key in ("name", "namespace", "uid")}
            await self.apply({"apiVersion": body["apiVersion"], "kind": body["kind"], "metadata": identity})
            raise Taken(f"it is managed by {', '.join(sorted(others))}")
        return made

    async def _post(self, body: Object) -> Object:
        kind, metadata = body["kind"], body["metadata"]
        try:
            return await self._write(
                "post",
                f"create {kind} {metadata['name']}",
                kind,
                self._resource(kind).path(namespace=metadata["namespace"]),
                body=body,
                field_manager=names.MANAGER,
                query_params=[("fieldValidation", "Strict")],
            )
        except ApiError as error:
            there = await self.read(kind, metadata["namespace"], metadata["name"]) if error.reason == "AlreadyExists" else None
            if there is None or names.is_ours(there):
                raise  # a watch is behind: the next pass knows of it
            raise Taken("it was made by somebody else") from error

    async def apply(self, body: Object, *, force: bool = True) -> Object:
        """Server-side apply of everything that we own in an object. Returns the object as it is then."""
        kind, metadata = body["kind"], body["metadata"]
        path = self._resource(kind).path(metadata["name"], metadata["namespace"])

        async def apply() -> Object:
            return await self._write(
                "patch",
                f"apply {kind} {metadata['name']}",
                kind,
                path,
                body=orjson.dumps(body),
                content_type=APPLY,
                field_manager=names.MANAGER,
                force_conflicts=force,
                query_params=[("fieldValidation", "Strict")],
            )

        try:
            return await apply()
        except ApiError as error:
            if not error.duplicate:
                raise
        # Somebody changed the key of an entry, such as the number of a port: apply would keep theirs beside ours.
        await self._write(
            "patch",
            f"restore {kind} {metadata['name']}",
            kind,
            path,
            body={"spec": body["spec"]},
            content_type="application/merge-patch+json",
        )
        return await apply()

    async def apply_status(self, pipeline: Object, status: Object) -> Object:
        """Write the status of exactly this FibPipeline: of a successor under the same name it is refused."""
        metadata = pipeline["metadata"]
        identity = {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}
        return await self._write(
            "patch",
            f"write the status of FibPipeline {metadata['name']}",
            names.KIND,
            self._resource(names.KIND).path(metadata["name"], metadata["namespace"]) + "/status",
            body=orjson.dumps({"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": identity, "status": status}),
            content_type=APPLY,
            field_manager=names.MANAGER,
            force_conflicts=True,
        )

    async def scale(self, deployment: Object, replicas: int) -> Object:
        """Set a Deployment's replicas without ever owning the field. Returns the Deployment as it is then."""
        metadata = deployment["metadata"]
        scaled = await self._write(
            "patch",
            f"scale Deployment {metadata['name']} to {replicas}",
            "Scale",
            self._resource("Deployment").path(metadata["name"], metadata["namespace"]) + "/scale",
            body={"spec": {"replicas": replicas}},
            content_type="application/merge-patch+json",
        )
        # A new generation, in which only the replicas changed: whoever judges readiness must wait for its controller.
        newer = {"resourceVersion": scaled["metadata"]["resourceVersion"], "generation": metadata["generation"] + 1}
        return {**deployment, "metadata": {**metadata, **newer}, "spec": {**deployment["spec"], "replicas": replicas}}

    async def grow(self, claim: Object, size: str) -> None:
        """Ask for a larger volume. Raises ApiError when its StorageClass does not allow it."""
        metadata = claim["metadata"]
        await self._write(
            "patch",
            f"grow PersistentVolumeClaim {metadata['name']} to {size}",
            "PersistentVolumeClaim",
            self._resource("PersistentVolumeClaim").path(metadata["name"], metadata["namespace"]),
            body={"metadata": {"uid": metadata["uid"]}, "spec": {"resources": {"requests": {"storage": size}}}},
            content_type="application/merge-patch+json",
        )

    async def annotate(self, live: Object, annotations: Mapping[str, str | None]) -> Object | None:
        """Set annotations of exactly this object; None removes one. Returns the object as it is then, or None when it is gone."""
        kind, metadata = live["kind"], live["metadata"]
        try:
            return await self._write(
                "patch",
                f"annotate {kind} {metadata['name']}",
                kind,
                self._resource(kind).path(metadata["name"], metadata["namespace"]),
                body={"metadata": {"uid": metadata["uid"], "annotations": dict(annotations)}},
                content_type="application/merge-patch+json",
            )
        except ApiError as error:
            if error.status in (404, 409):
                return None
            raise

    async def delete(self, live: Object, *, propagation: Literal["Background", "Orphan"] = "Background") -> None:
        """Delete exactly this object: one of the same name with another uid stays. `Orphan` leaves what it owns."""
        kind, metadata = live["kind"], live["metadata"]
        try:
            await self._write(
                "delete",
                f"delete {kind} {metadata['name']}",
                kind,
                self._resource(kind).path(metadata["name"], metadata["namespace"]),
                body={"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": propagation},
            )
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def post_event(self, pipeline: Object, kind: str, reason: str, message: str) -> None:
        """An Event about a FibPipeline; `kind` is Normal or Warning."""
        metadata = pipeline["metadata"]
        await self._write(
            "post",
            f"post an event about FibPipeline {metadata['name']}",
            "Event",
            self._resource("Event").path(namespace=metadata["namespace"]),
            body={
                "apiVersion": "events.k8s.io/v1",
                "kind": "Event",
                "metadata": {"name": f"{metadata['name']}.{uuid.uuid4().hex[:16]}", "namespace": metadata["namespace"]},
                "eventTime": datetime.datetime.now(datetime.UTC).isoformat(timespec="microseconds").replace("+00:00", "Z"),
                "reportingController": f"{names.GROUP}/operator",
                "reportingInstance": names.MANAGER,
                "action": "Reconcile",
                "type": kind,
                "reason": reason,
                "note": message[:1024],
                "regarding": {
                    "apiVersion": names.API_VERSION,
                    "kind": names.KIND,
                    "name": metadata["name"],
                    "namespace": metadata["namespace"],
                    "uid": metadata["uid"],
                },
            },
        )

    async def last_warning(self, live: Object) -> str:
        """The newest Warning among the Events about an object; empty when there is none, or none may be read."""
        metadata = live["metadata"]
        about = {"kind": live["kind"], "name": metadata["name"], "uid": metadata["uid"]}
        try:
            page = await self._request(
                "get",
                f"list the events about {live['kind']} {metadata['name']}",
                self._resource("Event").path(namespace=metadata["namespace"]),
                field_selector=",".join(["type=Warning", *(f"regarding.{key}={value}" for key, value in about.items())]),
                limit=LIST_PAGE,
            )
        except ApiError as error:
            if error.permanent:
                return ""  # it would explain; nothing depends on it
            raise
        return str(max(page.get("items") or [{}], key=_event_time).get("note", "")).strip()

    async def list_children(self, kind: str) -> AsyncIterator[tuple[list[Object], str]]:
        """Yield all children of one kind page by page, each page with the resource version to watch from."""
        token: str | None = None
        while True:
            page = await self._request(
                "get",
                f"list {kind}",
                self._resource(kind).path(namespace=self._namespace),
                label_selector=names.CHILD_SELECTOR,
                limit=LIST_PAGE,
                _continue=token,
            )
            api_version = WATCHED_KINDS[kind][0]
            yield (
                [{"apiVersion": api_version, "kind": kind, **item} for item in page.get("items") or []],
                page["metadata"]["resourceVersion"],
            )
            token = page["metadata"].get("continue")
            if not token:
                return

    async def watch_children(self, kind: str, version: str) -> AsyncIterator[tuple[str, Object]]:
        """Yield (ADDED | MODIFIED | DELETED | BOOKMARK, object) from `version` on, until the server ends the stream.

        Raises Gone when the version is too old, ApiError when the stream is refused or falls silent.
        """
        action = f"watch {kind}"
        try:
            response = await self._client.request(
                "get",
                self._resource(kind).path(namespace=self._namespace),
                serialize=False,
                label_selector=names.CHILD_SELECTOR,
                resource_version=version,
                timeout_seconds=WATCH_SECONDS,
                watch="true",
                query_params=[("allowWatchBookmarks", "true")],
                _request_timeout=aiohttp.ClientTimeout(total=WATCH_SECONDS + 30, sock_connect=30, sock_read=WATCH_SILENCE_SECONDS),
            )
            with closing(response):  # an unread one would keep its place among the connections until the garbage is collected
                async for line in _lines(response):
                    event = orjson.loads(line)
                    if event["type"] == "ERROR":
                        status = event["object"]
                        if status.get("code") == 410:
                            raise Gone
                        raise ApiError(action, status.get("code", 0), status.get("reason", ""), status.get("message", ""))
                    yield event["type"], event["object"]
        except FAILURES as error:
            raise api_error(action, error) from error

    def _resource(self, kind: str) -> Resource:
        api_version, plural = _ALL_KINDS[kind]
        group, _, version = api_version.rpartition("/")
        return Resource(
            prefix="apis" if group else "api",
            group=group,
            api_version=version,
            kind=kind,
            namespaced=True,
            name=plural,
            client=self._client,
        )

    async def _write(self, method: str, action: str, kind: str, path: str, **options: Any) -> Object:
        metrics.WRITES.labels(kind).inc()
        return await self._request(method, action, path, **options)

    async def _request(self, method: str, action: str, path: str, **options: Any) -> Object:
        try:
            async with self._slots:
                response = await self._client.request(
                    method,
                    path,
                    serialize=False,
                    _request_timeout=REQUEST_TIMEOUT_SECONDS,
                    header_params={},
                    **{"query_params": [], **options},
                )
                return dict(orjson.loads(await response.read()))
        except FAILURES as error:
            raise api_error(action, error) from error


def _event_time(event: Object) -> str:
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("deprecatedLastTimestamp") or event.get("eventTime") or "")


async def _lines(response: Any) -> AsyncIterator[bytes]:
    # Not `readline`: aiohttp refuses a line over 64 KiB, and an object may be larger.
    pending = b""
    while True:
        chunk = await response.content.readany()
        if not chunk:
            return
        *complete, pending = (pending + chunk).split(b"\n")
        for line in complete:
            yield line
