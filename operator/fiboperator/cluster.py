"""The only module that talks to the API server: what the operator asks of it."""

import datetime
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Final, Literal, Self

from . import names
from .connection import MERGE, Connection
from .errors import ApiError, Gone, Taken
from .kinds import POSTED_KINDS, WATCHED_KINDS
from .resources.objects import Object
from .scope import Scope

LIST_PAGE: Final = 500
METADATA_ONLY: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
STRICT: Final = (("fieldValidation", "Strict"),)


class Cluster:
    """The API server, through one shared client."""

    def __init__(self, connection: Connection, scope: Scope) -> None:
        self._connection = connection
        self.scope = scope

    @classmethod
    async def connect(cls, scope: Scope) -> Self:
        """Log in; nothing outside of `scope` is looked at."""
        return cls(await Connection.open(len(scope.parts)), scope)

    def guard(self, may_write: Callable[[str], bool]) -> None:
        """Have each write ask first whether its namespace may be written to. Leases are not asked about."""
        self._connection.may_write = may_write

    async def close(self) -> None:
        await self._connection.close()

    async def has_api_group(self, group: str) -> bool:
        """Whether the API server serves a group of APIs."""
        try:
            await self._connection.request("get", f"look for the API group {group}", f"/apis/{group}")
        except ApiError as error:
            if error.permanent:
                return False
            raise
        return True

    async def pipeline_heads(self) -> dict[tuple[str, str], tuple[str, int]]:
        """The uid and generation of each FibPipeline, by namespace and name, without their specs."""
        heads = {}
        for namespace in self.scope.parts:
            token: str | None = None
            while True:
                path = self._connection.path(names.KIND, namespace)
                page = await self._connection.request(
                    "get", "list FibPipelines", path, accept=METADATA_ONLY, limit=LIST_PAGE, _continue=token
                )
                for item in page.get("items") or []:
                    metadata = item["metadata"]
                    heads[metadata["namespace"], metadata["name"]] = metadata["uid"], int(metadata["generation"])
                token = page["metadata"].get("continue")
                if not token:
                    break
        return heads

    async def list_leases(self, name: str) -> list[Object]:
        """The Leases of one name in all namespaces."""
        path = self._connection.path("Lease", None)
        page = await self._connection.request("get", "list Lease", path, field_selector=f"metadata.name={name}")
        return list(page.get("items") or [])

    async def write_lease(self, namespace: str, name: str, live: Object | None, spec: Object) -> Object:
        """Make a Lease, or change exactly the one that was seen. Raises ApiError 409 or 404 when it is another by now."""
        if live is None:
            path = self._connection.path("Lease", namespace)
            metadata = {
                "name": name,
                "namespace": namespace,
                "labels": {names.NAME_LABEL: names.MANAGER, names.PART_OF_LABEL: names.PART_OF},
            }
            body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
            return await self._connection.request("post", f"create Lease {name}", path, body=body, field_manager=names.MANAGER)
        path = self._connection.path("Lease", namespace, name)
        body = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}, "spec": spec}
        return await self._connection.request("patch", f"renew Lease {name}", path, body=body, content_type=MERGE)

    async def read(self, kind: str, namespace: str, name: str) -> Object | None:
        """An object as it is now; None when it does not exist."""
        try:
            return await self._connection.request("get", f"read {kind} {name}", self._connection.path(kind, namespace, name))
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
            return await self._connection.write(
                "post",
                f"create {kind} {metadata['name']}",
                kind,
                self._connection.path(kind, metadata["namespace"]),
                body=body,
                field_manager=names.MANAGER,
                query=STRICT,
            )
        except ApiError as error:
            there = await self.read(kind, metadata["namespace"], metadata["name"]) if error.reason == "AlreadyExists" else None
            if there is None or names.is_ours(there):
                raise  # a watch is behind: the next pass knows of it
            raise Taken("it was made by somebody else") from error

    async def apply(self, body: Object, *, force: bool = True) -> Object:
        """Server-side apply of everything that we own in an object. Returns the object as it is then."""
        kind, name, path = body["kind"], body["metadata"]["name"], self._path(body)

        async def apply() -> Object:
            options = {"field_manager": names.MANAGER, "force_conflicts": force, "query": STRICT}
            return await self._connection.apply(f"apply {kind} {name}", kind, path, body, **options)

        try:
            return await apply()
        except ApiError as error:
            if not error.duplicate:
                raise
        # Somebody changed the key of an entry, such as the number of a port: apply would keep theirs beside ours.
        await self._connection.patch(f"restore {kind} {name}", kind, path, {"spec": body["spec"]})
        return await apply()

    async def apply_status(self, pipeline: Object, status: Object) -> Object:
        """Write the status of exactly this FibPipeline: of a successor under the same name it is refused."""
        return await self._apply_status(pipeline, status, names.MANAGER, guarded=True)

    async def apply_aside(self, pipeline: Object, status: Object, manager: str) -> Object:
        """Write a part of the status as somebody else than the operator at work; what `manager` wrote before goes."""
        return await self._apply_status(pipeline, status, manager, guarded=False)

    async def _apply_status(self, pipeline: Object, status: Object, manager: str, *, guarded: bool) -> Object:
        metadata = pipeline["metadata"]
        identity = {"name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"]}
        return await self._connection.apply(
            f"write the status of FibPipeline {metadata['name']}",
            names.KIND,
            self._connection.path(names.KIND, metadata["namespace"], metadata["name"]) + "/status",
            {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": identity, "status": status},
            guarded=guarded,
            field_manager=manager,
            force_conflicts=True,
        )

    async def scale(self, deployment: Object, replicas: int) -> Object:
        """Set a Deployment's replicas without ever owning the field. Returns the Deployment as it is then."""
        metadata = deployment["metadata"]
        action = f"scale Deployment {metadata['name']} to {replicas}"
        scaled = await self._connection.patch(action, "Scale", self._path(deployment) + "/scale", {"spec": {"replicas": replicas}})
        # A new generation, in which only the replicas changed: whoever judges readiness must wait for its controller.
        newer = {"resourceVersion": scaled["metadata"]["resourceVersion"], "generation": metadata["generation"] + 1}
        return {**deployment, "metadata": {**metadata, **newer}, "spec": {**deployment["spec"], "replicas": replicas}}

    async def grow(self, claim: Object, size: str) -> None:
        """Ask for a larger volume. Raises ApiError when its StorageClass does not allow it."""
        kind, metadata = claim["kind"], claim["metadata"]
        body = {"metadata": {"uid": metadata["uid"]}, "spec": {"resources": {"requests": {"storage": size}}}}
        await self._connection.patch(f"grow {kind} {metadata['name']} to {size}", kind, self._path(claim), body)

    async def amend(self, live: Object, metadata: Object) -> None:
        """Merge `metadata` into that of exactly this object as it was seen. Nothing is written to one that has changed since or is gone."""
        kind, seen = live["kind"], live["metadata"]
        body = {"metadata": {**metadata, "uid": seen["uid"], "resourceVersion": seen["resourceVersion"]}}
        try:
            await self._connection.patch(f"amend {kind} {seen['name']}", kind, self._path(live), body)
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def annotate(self, live: Object, annotations: Mapping[str, str | None]) -> Object | None:
        """Set annotations of exactly this object; None removes one. Returns the object as it is then, or None when it is gone."""
        kind, metadata = live["kind"], live["metadata"]
        body = {"metadata": {"uid": metadata["uid"], "annotations": dict(annotations)}}
        try:
            return await self._connection.patch(f"annotate {kind} {metadata['name']}", kind, self._path(live), body)
        except ApiError as error:
            if error.status in (404, 409):
                return None
            raise

    async def delete(self, live: Object, *, propagation: Literal["Background", "Orphan"] = "Background") -> None:
        """Delete exactly this object: one of the same name with another uid stays. `Orphan` leaves what it owns."""
        kind, metadata = live["kind"], live["metadata"]
        try:
            await self._connection.write(
                "delete",
                f"delete {kind} {metadata['name']}",
                kind,
                self._path(live),
                body={"preconditions": {"uid": metadata["uid"]}, "propagationPolicy": propagation},
            )
        except ApiError as error:
            if error.status not in (404, 409):
                raise

    async def post_event(self, pipeline: Object, kind: str, reason: str, message: str) -> None:
        """An Event about a FibPipeline; `kind` is Normal or Warning."""
        metadata = pipeline["metadata"]
        await self._connection.write(
            "post",
            f"post an event about FibPipeline {metadata['name']}",
            "Event",
            self._connection.path("Event", metadata["namespace"]),
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
        """The newest Warning among the Events about an object; empty when there is none."""
        metadata = live["metadata"]
        about = {"kind": live["kind"], "name": metadata["name"], "uid": metadata["uid"]}
        page = await self._connection.request(
            "get",
            f"list the events about {live['kind']} {metadata['name']}",
            self._connection.path("Event", metadata["namespace"]),
            field_selector=",".join(["type=Warning", *(f"regarding.{key}={value}" for key, value in about.items())]),
            limit=LIST_PAGE,
        )
        return str(max(page.get("items") or [{}], key=_event_time).get("note", "")).strip()

    async def list_children(self, kind: str, namespace: str | None) -> AsyncIterator[tuple[list[Object], str]]:
        """Yield all children of one kind, in one namespace or in all, page by page, each page with the resource version to watch from."""
        token: str | None = None
        while True:
            page = await self._connection.request(
                "get",
                f"list {kind}",
                self._connection.path(kind, namespace),
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

    async def watch_children(self, kind: str, namespace: str | None, version: str) -> AsyncIterator[tuple[str, Object]]:
        """Yield (ADDED | MODIFIED | DELETED | BOOKMARK, object) from `version` on, until the server ends the stream.

        Raises Gone when the version is too old, ApiError when the stream is refused or falls silent.
        """
        action, path = f"watch {kind}", self._connection.path(kind, namespace)
        options = {"label_selector": names.CHILD_SELECTOR, "resource_version": version}
        async with aclosing(self._connection.stream(action, path, **options)) as events:
            async for event in events:
                if event["type"] == "ERROR":
                    status = event["object"]
                    if status.get("code") == 410:
                        raise Gone
                    raise ApiError(action, status.get("code", 0), status.get("reason", ""), status.get("message", ""))
                yield event["type"], event["object"]

    def _path(self, live: Object) -> str:
        return self._connection.path(live["kind"], live["metadata"]["namespace"], live["metadata"]["name"])


def _event_time(event: Object) -> str:
    series = (event.get("series") or {}).get("lastObservedTime")
    return str(series or event.get("deprecatedLastTimestamp") or event.get("eventTime") or "")
