"""NetworkPolicies: one a component, both directions, so that everything not named here is denied."""

from .. import names
from ..names import Component
from .objects import Context, Object, child

ANYWHERE: list[Object] = []
DNS_NAMESPACES = ["kube-system", "openshift-dns"]


def objects(context: Context) -> list[Object]:
    """The policies of the components that run."""
    spec = context.pipeline.spec
    own_broker = not spec.rabbitmq.external.secret_name
    own_store = not spec.postgresql.external.secret_name
    broker = [_to(context, Component.RABBITMQ, names.AMQP_PORT) if own_broker else {}]
    management = [_to(context, Component.RABBITMQ, names.MANAGEMENT_PORT)] if own_broker else []
    store = [_to(context, Component.POSTGRESQL, names.POSTGRESQL_PORT) if own_store else {}]

    policies = [
        # The controller of the Ingress may be anywhere; the internal port is for the operator alone.
        _policy(
            context,
            Component.API,
            ingress=[_rule("from", ANYWHERE, names.API_PORT), *_internal(context)],
            egress=[*broker, *store],
        ),
        _policy(context, Component.WORKER, ingress=[], egress=[*broker, *store]),
    ]
    if own_broker:
        clients = [_pods(context, component) for component in (Component.API, Component.WORKER)]
        flower = _pods(context, Component.FLOWER)
        ingress = [
            _rule("from", [*clients, flower], names.AMQP_PORT),
            _rule("from", [flower], names.MANAGEMENT_PORT),
        ]
        policies.append(_policy(context, Component.RABBITMQ, ingress=ingress, egress=[]))
    if own_store:
        clients = [_pods(context, component) for component in (Component.API, Component.WORKER)]
        policies.append(_policy(context, Component.POSTGRESQL, ingress=[_rule("from", clients, names.POSTGRESQL_PORT)], egress=[]))
    if spec.flower.enabled:
        policies.append(
            _policy(context, Component.FLOWER, ingress=[_rule("from", ANYWHERE, names.FLOWER_PORT)], egress=[*broker, *management])
        )
    return policies


def _policy(context: Context, component: Component, ingress: list[Object], egress: list[Object]) -> Object:
    return child(
        "networking.k8s.io/v1",
        "NetworkPolicy",
        context,
        component,
        spec={
            "podSelector": {"matchLabels": names.selector(context.pipeline.name, component)},
            "policyTypes": ["Ingress", "Egress"],
            "ingress": ingress,  # also when nobody may come in: a rule that somebody adds is then ours to remove
            "egress": [*_dns(), *egress],
        },
    )


def _dns() -> list[Object]:
    """Name resolution. Port 53 anywhere, because a DNS cache on the node has no labels.

    A policy may be judged after the Service's address became a pod's, and OpenShift's DNS pods listen on 5353 behind port 53
    (https://github.com/openshift/cluster-dns-operator/blob/master/assets/dns/service.yaml).
    """
    behind_a_service = {
        "namespaceSelector": {"matchExpressions": [{"key": names.NAMESPACE_LABEL, "operator": "In", "values": DNS_NAMESPACES}]}
    }
    return [
        {"ports": [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]},
        {"to": [behind_a_service], "ports": [{"port": 5353, "protocol": protocol} for protocol in ("UDP", "TCP")]},
    ]


def _rule(direction: str, peers: list[Object], port: int) -> Object:
    return {**({direction: peers} if peers else {}), "ports": [{"port": port, "protocol": "TCP"}]}


def _to(context: Context, component: Component, port: int) -> Object:
    return _rule("to", [_pods(context, component)], port)


def _pods(context: Context, component: Component) -> Object:
    return {"podSelector": {"matchLabels": names.selector(context.pipeline.name, component)}}


def _internal(context: Context) -> list[Object]:
    """The rule that admits the operator's pod. A label alone proves nothing: everybody may give it to pods in namespaces of their own."""
    if not context.release.namespace:
        return []
    namespace = {"matchLabels": {names.NAMESPACE_LABEL: context.release.namespace}}
    operator = {"namespaceSelector": namespace, "podSelector": {"matchLabels": {names.NAME_LABEL: names.MANAGER}}}
    return [_rule("from", [operator], names.API_INTERNAL_PORT)]
