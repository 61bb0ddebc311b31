"""What a pass must not do: overwrite somebody else's object, or give old data a new key. Pure functions on live objects."""

from . import names
from .children import ChildKey
from .errors import QUOTA_EXCEEDED, QUOTA_REMEDY, ApiError
from .names import Component
from .resources import GENERATED, Object, decode, missing_keys
from .spec import Pipeline
from .status import Problem

Live = dict[ChildKey, Object]


class Blocked(Exception):
    """The pass cannot go on until a person, or time, has changed something; it becomes the Ready condition."""

    def __init__(self, problem: Problem, retry: float | None = None) -> None:
        super().__init__(problem.message)
        self.problem = problem
        self.retry = retry
        """The delay in seconds until another pass can do more, where that is known."""


def key_of(child: Object) -> ChildKey:
    """How the live children are looked up."""
    return child["kind"], child["metadata"]["name"]


def owner(child: Object) -> dict[str, str]:
    """The owner reference of the controller; empty when there is none."""
    owners: list[dict[str, str]] = child["metadata"].get("ownerReferences", [])
    return next((reference for reference in owners if reference.get("controller")), {})


def stored_credentials(pipeline: Pipeline, component: Component, live: Live) -> dict[str, str]:
    """The random values in the component's Secret, empty ones left out; never what merely follows from them."""
    secret = live.get(("Secret", names.child_name(pipeline.name, component)))
    data = decode(secret) if secret else {}
    return {key: data[key] for key in GENERATED[component] if data.get(key)}


def refuse_new_key_to_old_data(pipeline: Pipeline, component: Component, stored: dict[str, str], live: Live) -> None:
    """Raise Blocked when a credential is lost while a volume exists that only the old value opens."""
    name = names.child_name(pipeline.name, component)
    volume = names.claim_name(pipeline.name, component)
    lost = missing_keys(component, stored)
    if lost and ("PersistentVolumeClaim", volume) in live:
        raise Blocked(
            Problem(
                "SecretNotFound",
                f"Secret {name} lacks {', '.join(lost)}, but PersistentVolumeClaim {volume} holds data that only the old value opens. "
                "Restore the Secret from a backup. Or start empty and lose that data: "
                f"kubectl -n {pipeline.namespace} delete statefulset/{name} pvc/{volume}",
            )
        )


def refuse_foreign(pipeline: Pipeline, wanted: list[Object], live: Live) -> None:
    """Raise Blocked when a child's name is taken by an object that this pipeline neither owns nor may adopt.

    What carries our labels and has no controller is adopted: kept credentials of an earlier pipeline of this name, and whatever a restored
    backup or `kubectl delete --cascade=orphan` left without its owner.
    """
    for child in wanted:
        there = live.get(key_of(child))
        if there is None:
            continue
        reference = owner(there)
        if reference.get("uid") == pipeline.uid:
            continue
        if reference.get("kind") == names.KIND and reference.get("name") == pipeline.name:
            message = f"{child['kind']} {child['metadata']['name']} of the deleted pipeline of this name is still being removed."
            raise Blocked(Problem("Progressing", message))
        if reference or not names.is_ours(there):
            raise Blocked(conflict(child, "its owner is not this pipeline"))


def adopting(child: Object, there: Object) -> Object:
    """The child as it is to be applied over `there`. One without controller is adopted, and then exactly the one that was seen."""
    if owner(there):
        return child
    return {**child, "metadata": {**child["metadata"], "uid": there["metadata"]["uid"]}}


def refusal(error: ApiError) -> Problem:
    """The problem of a request that the API server will refuse again, with what to do about it."""
    if QUOTA_EXCEEDED in str(error):
        return Problem("QuotaExceeded", f"{error}. {QUOTA_REMEDY}")
    if error.status == 403 and " cannot " in str(error):  # RBAC's own words: User "x" cannot VERB resource "y" in API group "z"
        return Problem("Forbidden", f"{error}. Grant the operator that right: install its manifests again as they were installed.")
    return Problem("Refused", str(error))


def conflict(child: Object, why: str) -> Problem:
    """The problem of a name that is taken."""
    kind, name = key_of(child)
    return Problem("Conflict", f"{kind} {name} exists and is not this pipeline's: {why}. Rename the pipeline, or remove that {kind}.")


def host_taken(pipeline: Pipeline, holder: tuple[str, str]) -> Problem:
    """The problem of a host that the older Ingress of another pipeline serves."""
    ingress = pipeline.spec.ingress
    remedies = ["set spec.ingress.host to a name of this pipeline's own", "set spec.ingress.className to another controller's class"]
    return Problem(
        "HostTaken",
        f"Ingress {'/'.join(holder)} is older and serves {f'host {ingress.host}' if ingress.host else 'every host'}, so this pipeline has "
        f"no Ingress: the two would answer each other's requests. Either {' or '.join(remedies)}.",
    )


def is_of_other_class(wanted: Object, there: Object) -> bool:
    """Whether an Ingress of another class has the name of a wanted one.

    It is made anew: the controller of the other class leaves its address in the status, and the next one may never write its own.
    """
    before, now = (ingress["spec"].get("ingressClassName") for ingress in (there, wanted))
    return bool(before and now and before != now)
