"""What every child must be, whatever the spec says."""

import base64
from typing import Any

import pytest

from fiboperator import names
from fiboperator.names import Component
from fiboperator.resources import Context, Release, desired, generate, generated_components
from fiboperator.resources.pods import digest
from fiboperator.spec import parse
from tests.pipelines import fibpipeline

RELEASE = Release("0.1.0", "fibpipeline/app:0.1.0", "fibpipeline-system")


def children(spec: dict[str, Any] | None = None, release: Release = RELEASE) -> dict[tuple[str, str], dict[str, Any]]:
    pipeline = parse(fibpipeline(spec))
    credentials = {
        component: {key: f"SECRET-{component}-{key}" for key in generate(component)} for component in generated_components(pipeline)
    }
    found = desired(Context(pipeline, credentials, release, pipeline.spec.worker.floor))
    by_key = {(child["kind"], child["metadata"]["name"]): child for child in found}
    assert len(by_key) == len(found), "no two children share a name"
    return by_key


def templates(found: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    return [child["spec"]["template"] for (kind, _), child in found.items() if kind in ("Deployment", "StatefulSet")]


def test_it_is_a_pure_function() -> None:
    assert children() == children()


def test_a_minimal_pipeline_has_the_seeds_parts_and_sizes() -> None:
    found = children()
    rabbitmq, postgresql = found["StatefulSet", "demo-rabbitmq"], found["StatefulSet", "demo-postgresql"]
    for live, size in ((rabbitmq, "10Gi"), (postgresql, "20Gi")):
        assert live["spec"]["volumeClaimTemplates"][0]["spec"]["resources"]["requests"]["storage"] == size
    assert rabbitmq["spec"]["template"]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "250m", "memory": "512Mi"},
        "limits": {"cpu": "500m", "memory": "1Gi"},
    }
    assert found["Deployment", "demo-api"]["spec"]["replicas"] == 2
    autoscaler = found["HorizontalPodAutoscaler", "demo-worker"]["spec"]
    assert (autoscaler["minReplicas"], autoscaler["maxReplicas"]) == (3, 10)
    assert autoscaler["metrics"][0]["containerResource"]["target"] == {"type": "Utilization", "averageUtilization": 70}
    assert autoscaler["behavior"]["scaleDown"]["stabilizationWindowSeconds"] == 300
    paths = found["Ingress", "demo"]["spec"]["rules"][0]["http"]["paths"]
    assert [(path["path"], path["pathType"]) for path in paths] == [("/", "Exact"), ("/api", "Prefix"), ("/flower", "Prefix")]


def test_the_workers_replicas_are_never_ours() -> None:
    assert "replicas" not in children()["Deployment", "demo-worker"]["spec"]
    assert "replicas" not in children({"worker": {"autoscaling": {"enabled": False}}})["Deployment", "demo-worker"]["spec"]


@pytest.mark.parametrize(
    "template", templates(children()), ids=lambda template: template["metadata"]["labels"]["app.kubernetes.io/component"]
)
def test_every_pod_is_restricted(template: dict[str, Any]) -> None:
    spec = template["spec"]
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    security = spec["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] >= 999
    assert security["fsGroup"] == security["runAsUser"], "or the volume cannot be written where the driver honours fsGroup"
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    for container in [*spec.get("initContainers", []), *spec["containers"]]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert set(container["resources"]) == {"requests", "limits"}
    for container in spec["containers"]:
        assert "livenessProbe" in container
    assert "version" not in "".join(template["metadata"]["labels"]), "an upgrade of the operator must not roll pods"


def test_no_password_stands_outside_a_secret() -> None:
    for (kind, _), child in children().items():
        if kind != "Secret":
            assert "SECRET-" not in str(child)


def test_every_child_is_owned_except_retained_credentials() -> None:
    for (kind, _), child in children().items():
        assert ("ownerReferences" in child["metadata"]) is (kind != "Secret")
    for child in children({"deletionPolicy": "Delete"}).values():
        assert child["metadata"]["ownerReferences"][0]["controller"] is True


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
@pytest.mark.parametrize("name", ["demo-rabbitmq", "demo-postgresql"])
def test_no_statefulset_takes_its_volume_along(policy: str, name: str) -> None:
    retention = children({"deletionPolicy": policy})["StatefulSet", name]["spec"]["persistentVolumeClaimRetentionPolicy"]
    assert retention == {"whenDeleted": "Retain", "whenScaled": "Retain"}


@pytest.mark.parametrize("policy", ["Retain", "Delete"])
def test_no_label_that_gitops_tools_track_stands_on_credentials(policy: str) -> None:
    """Argo CD prunes ownerless objects that carry `app.kubernetes.io/instance` and are not in its application's repository."""
    for (kind, _), child in children({"deletionPolicy": policy}).items():
        metadata = child["metadata"]
        assert names.pipeline_of(child) == "demo"
        assert ("app.kubernetes.io/instance" in metadata["labels"]) is (kind != "Secret")
        assert ("argocd.argoproj.io/sync-options" in metadata.get("annotations", {})) is ("ownerReferences" not in metadata)


def test_what_is_switched_off_or_external_is_not_wanted() -> None:
    kinds = {name for _, name in children({"flower": {"enabled": False}})}
    assert "demo-flower" not in kinds
    assert ("Ingress", "demo") not in children({"ingress": {"enabled": False}})
    external = children({"rabbitmq": {"external": {"secretName": "mine"}}})
    assert not [name for _, name in external if "rabbitmq" in name]
    sources = external["Deployment", "demo-worker"]["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
    assert {"secret": {"name": "mine", "items": [{"key": "uri", "path": "fib_broker_url"}]}} in sources


@pytest.mark.parametrize("name", ["demo-api", "demo-worker", "demo-flower"])
def test_on_a_broker_of_somebody_else_the_queue_has_the_name_of_the_pipeline(name: str) -> None:
    def queues(spec: dict[str, Any]) -> set[str]:
        containers = children(spec)["Deployment", name]["spec"]["template"]["spec"]["containers"]
        return {variable["value"] for each in containers for variable in each["env"] if variable["name"] == "FIB_QUEUE"}

    pipeline = fibpipeline()["metadata"]
    assert queues({}) == set()
    assert queues({"rabbitmq": {"external": {"secretName": "mine"}}}) == {f"fib.{pipeline['namespace']}.demo.{pipeline['uid'][:8]}"}


@pytest.mark.parametrize(
    ("spec", "rolled"),
    [
        ({"worker": {"concurrency": 2}}, {"demo-worker"}),
        ({"worker": {"autoscaling": {"maxReplicas": 20}}}, set()),
        ({"fibonacci": {"maxN": 10}}, {"demo-api", "demo-worker"}),
        ({"flower": {"readOnly": False}}, {"demo-flower"}),
        ({"api": {"replicas": 3}}, set()),
        ({"rabbitmq": {"resources": {"limits": {"memory": "2Gi"}}}}, {"demo-rabbitmq"}),
        ({"image": "mine/app:2"}, {"demo-api", "demo-worker", "demo-flower"}),
        ({"deletionPolicy": "Delete"}, set()),
        ({"ingress": {"host": "fib.example.com"}}, set()),
    ],
    ids=str,
)
def test_a_change_rolls_what_it_concerns_and_nothing_else(spec: dict[str, Any], rolled: set[str]) -> None:
    before, after = children(), children(spec)
    changed = {
        name
        for (kind, name), child in after.items()
        if kind in ("Deployment", "StatefulSet") and child["spec"]["template"] != before[kind, name]["spec"]["template"]
    }
    assert changed == rolled


def test_a_job_may_not_outlive_its_workers_grace_period() -> None:
    pod = children({"worker": {"terminationGracePeriodSeconds": 100}})["Deployment", "demo-worker"]["spec"]["template"]["spec"]
    limit = next(variable["value"] for variable in pod["containers"][0]["env"] if variable["name"] == "FIB_JOB_TIME_LIMIT_SECONDS")
    assert int(limit) < pod["terminationGracePeriodSeconds"]


def test_the_autoscaler_looks_at_the_workers_own_container_so_that_a_sidecar_changes_nothing() -> None:
    found = children()
    [metric] = found["HorizontalPodAutoscaler", "demo-worker"]["spec"]["metrics"]
    [container] = found["Deployment", "demo-worker"]["spec"]["template"]["spec"]["containers"]
    assert (metric["type"], metric["containerResource"]["container"]) == ("ContainerResource", container["name"])


def store_arguments(spec: dict[str, Any]) -> list[str]:
    arguments: list[str] = children(spec)["StatefulSet", "demo-postgresql"]["spec"]["template"]["spec"]["containers"][0]["args"]
    return arguments


def test_adding_a_worker_does_not_restart_the_store() -> None:
    assert store_arguments({}) == store_arguments({"worker": {"autoscaling": {"maxReplicas": 100}}})


@pytest.mark.parametrize("workers", [{"autoscaling": {"maxReplicas": 1000}}, {"replicas": 1000, "autoscaling": {"enabled": False}}])
def test_the_store_has_connections_for_all_workers_of_a_rollout_and_for_the_api(workers: dict[str, Any]) -> None:
    [argument] = [each for each in store_arguments({"worker": workers, "api": {"replicas": 9}}) if each.startswith("max_connections=")]
    two_generations_of_workers, of_the_api = 2 * 1000 * (1 + 1), 10 * (8 + 1 + 2 + 1 + 1)
    connections = int(argument.partition("=")[2])
    assert two_generations_of_workers + of_the_api < connections
    assert connections % 500 == 0, "each change of the number restarts the store"


def test_every_pod_is_under_a_network_policy() -> None:
    found = children()
    covered = [child["spec"]["podSelector"]["matchLabels"] for (kind, _), child in found.items() if kind == "NetworkPolicy"]
    for template in templates(found):
        assert any(labels.items() <= template["metadata"]["labels"].items() for labels in covered)
    assert len(covered) == len(Component)


def test_names_are_resolved_also_where_the_dns_pods_listen_on_another_port() -> None:
    """As OpenShift's do. The other port is open towards the namespaces of a cluster's DNS alone."""
    for (kind, _), child in children().items():
        if kind == "NetworkPolicy":
            dns = [rule for rule in child["spec"]["egress"] if rule["ports"][0]["protocol"] == "UDP"]
            assert [[port["port"] for port in rule["ports"]] for rule in dns] == [[53, 53], [5353, 5353]]
            [peer] = dns[1]["to"]
            assert peer["namespaceSelector"]["matchExpressions"][0]["values"] == ["kube-system", "openshift-dns"]


def internal_rules(found: dict[tuple[str, str], dict[str, Any]]) -> list[dict[str, Any]]:
    """The rules that admit somebody to the API's internal port."""
    [service_port] = found["Service", "demo-api-internal"]["spec"]["ports"]
    [container] = [each for each in found["Deployment", "demo-api"]["spec"]["template"]["spec"]["containers"] if each["name"] == "api"]
    [port] = [each["containerPort"] for each in container["ports"] if each["name"] == service_port["targetPort"]]
    return [rule for rule in found["NetworkPolicy", "demo-api"]["spec"]["ingress"] if {"port": port, "protocol": "TCP"} in rule["ports"]]


def test_the_operators_pod_alone_reaches_the_internal_port_of_the_api() -> None:
    namespace = {"matchLabels": {"kubernetes.io/metadata.name": "fibpipeline-system"}}
    operator = {"namespaceSelector": namespace, "podSelector": {"matchLabels": {names.NAME_LABEL: names.MANAGER}}}
    assert [(rule["from"], len(rule["ports"])) for rule in internal_rules(children())] == [([operator], 1)]
    assert internal_rules(children(release=Release("0.1.0", "fibpipeline/app:0.1.0"))) == [], "of an operator outside nothing is known"


def test_the_internal_port_is_no_port_of_the_service_that_is_routed() -> None:
    found = children()
    backends = [path["backend"]["service"] for path in found["Ingress", "demo"]["spec"]["rules"][0]["http"]["paths"]]
    assert {backend["name"] for backend in backends} == {"demo-api", "demo-flower"}
    assert [port["targetPort"] for port in found["Service", "demo-api"]["spec"]["ports"]] == ["http"]


def test_the_store_is_ready_when_the_app_can_log_in_and_its_scripts_are_mounted_where_they_are_run() -> None:
    found = children()
    [container] = found["StatefulSet", "demo-postgresql"]["spec"]["template"]["spec"]["containers"]
    scripts = found["ConfigMap", "demo-postgresql"]["data"]
    mounted = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    run = [container["command"], *(container[probe]["exec"]["command"] for probe in ("startupProbe", "readinessProbe"))]
    assert {shell for shell, _ in run} == {"sh"}
    assert {path for _, path in run} == {f"/etc/fibpipeline/{name}" for name in scripts}
    assert mounted["/etc/fibpipeline"] == "scripts"
    assert "tcpSocket" in container["livenessProbe"], "a role that is missing is no reason to restart the server"
    environment = {variable["name"]: variable["value"] for variable in container["env"]}
    assert "--locale-provider=builtin" in environment["POSTGRES_INITDB_ARGS"], "an index survives another glibc"


def test_every_service_has_an_address_of_each_family_that_the_cluster_has() -> None:
    services = [child for (kind, _), child in children().items() if kind == "Service"]
    assert {service["spec"]["ipFamilyPolicy"] for service in services} == {"PreferDualStack"}


def test_no_network_policy_names_an_address() -> None:
    """A block of one family would shut out the other."""
    policies = [child for (kind, _), child in children().items() if kind == "NetworkPolicy"]
    assert "ipBlock" not in str(policies)


def test_a_pod_of_the_broker_never_starts_with_another_configuration_than_its_template_names() -> None:
    """A node may still hold the Secret of before, and what is mounted as a single file is never updated."""
    for memory in ("1Gi", "2Gi"):
        found = children({"rabbitmq": {"resources": {"limits": {"memory": memory}}}})
        pod = found["StatefulSet", "demo-rabbitmq"]["spec"]["template"]["spec"]
        [mounted] = [item["key"] for volume in pod["volumes"] if "secret" in volume for item in volume["secret"]["items"]]
        content = base64.b64decode(found["Secret", "demo-rabbitmq"]["data"][mounted]).decode()
        assert digest(content) in mounted
        assert "total_memory_available_override_value" in content
