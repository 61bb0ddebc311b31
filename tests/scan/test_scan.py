"""checkov and kubernetes-validate look at every object that the project puts into a cluster. Run it by `make test-scan`.

Objects: both installs of the operator, and all children of every example.
"""

import json
import subprocess
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from fiboperator.resources import Context, Release, desired, generate, generated_components
from fiboperator.spec import parse
from lab.settings import KUBERNETES_VERSION
from tests.cluster.kubectl import Kubectl
from tests.pipelines import ROOT, fibpipeline

BIN: Final = ROOT / ".venv-scan/bin"
# check -> the objects that may fail it, and why. Whatever is listed here and passes is an error too.
ACCEPTED: Final[dict[str, tuple[set[str], str]]] = {
    "CKV_K8S_9": (
        {"*/Deployment-*-api"},
        "no readiness probe: nobody sends requests to the relay beside the API (which has one)",
    ),
    "CKV_K8S_15": (
        {"*/Deployment-*", "*/StatefulSet-*"},
        "no pull at each start: a pipeline starts again while the registry is away; spec.imagePullPolicy says otherwise",
    ),
    "CKV_K8S_38": ({"*/operator/Deployment-*"}, "a token in the operator, which is a client of the API server"),
    "CKV_K8S_40": ({"*/StatefulSet-*"}, "a low user id: the official images own their data as 999"),
    "CKV_K8S_43": (
        {"*/Deployment-*", "*/StatefulSet-*"},
        "tags instead of digests: the spec takes either, and a default of ours would pin away the fixes of the official images",
    ),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Every object, each in a file of its own, by the path of that file."""
    folder = tmp_path_factory.mktemp("scan").resolve()
    objects = {}
    for place, bodies in {**installs(folder), **examples()}.items():
        (folder / place).mkdir(parents=True)
        for body in bodies:
            path = folder / place / f"{body['kind']}-{body['metadata']['name']}.yaml"
            assert str(path) not in objects
            path.write_text(yaml.safe_dump(body))
            objects[str(path)] = body
    return objects


def installs(folder: Path) -> dict[str, list[dict[str, Any]]]:
    rendered = Kubectl(folder / "no-cluster")("kustomize", str(ROOT / "deploy/namespaced"))
    texts = {"cluster": (ROOT / "deploy/install.yaml").read_text(), "namespace": rendered}
    return {f"{name}/operator": list(yaml.safe_load_all(text)) for name, text in texts.items()}


def examples() -> dict[str, list[dict[str, Any]]]:
    """The children of each example, and the Secrets that one brings along."""
    found = {}
    for path in sorted((ROOT / "examples").glob("*.yaml")):
        *others, body = yaml.safe_load_all(path.read_text())
        pipeline = parse(fibpipeline(body["spec"], name=body["metadata"]["name"]))
        credentials = {component: generate(component) for component in generated_components(pipeline)}
        children = desired(Context(pipeline, credentials, Release("0.1.0", "fibpipeline/app:0.1.0"), pipeline.spec.worker.floor))
        found[f"{path.stem}/children"] = [
            *({**other, "metadata": {"namespace": "team", **other["metadata"]}} for other in others),
            *children,
        ]
    return found


def run(*command: str) -> subprocess.CompletedProcess[str]:
    assert (BIN / command[0]).exists(), "run `make test-scan`, which installs the scanners"
    return subprocess.run([str(BIN / command[0]), *command[1:]], capture_output=True, text=True, timeout=280, check=False)


def test_every_object_fits_the_schemas_of_kubernetes(files: dict[str, dict[str, Any]]) -> None:
    version = KUBERNETES_VERSION.rpartition(".")[0]
    done = run("kubernetes-validate", "--strict", "-k", version, *files)
    expected = [f"INFO {path} passed for resource {kind_and_name(body)} against version {version}" for path, body in files.items()]
    assert sorted(done.stdout.splitlines()) == sorted(expected), done.stderr
    assert done.returncode == 0


def kind_and_name(body: dict[str, Any]) -> str:
    return f"{body['kind'].lower()}/{body['metadata']['name']}"


def test_a_field_that_does_not_exist_is_found(files: dict[str, dict[str, Any]], tmp_path: Path) -> None:
    path, body = next((path, body) for path, body in files.items() if body["kind"] == "StatefulSet")
    wrong = tmp_path / Path(path).name
    wrong.write_text(yaml.safe_dump({**body, "spec": {**body["spec"], "replica": 1}}))
    assert run("kubernetes-validate", "--strict", str(wrong)).returncode != 0


def test_every_object_passes_the_policies_or_is_accepted_for_a_reason(files: dict[str, dict[str, Any]]) -> None:
    folder = next(str(parent) for parent in Path(next(iter(files))).parents if all(path.startswith(f"{parent}/") for path in files))
    arguments = ("--framework", "kubernetes", "--skip-download", "--compact", "--soft-fail", "--output", "json")
    report = json.loads(run("checkov", "--directory", folder, *arguments).stdout)
    results = report["results"]
    templates = [body for body in files.values() if "template" in body.get("spec", {})]
    assert report["summary"]["parsing_errors"] == 0
    assert report["summary"]["resource_count"] == len(files) + len(templates), "it looked at every object, and every template as a Pod"
    failed = {(each["check_id"], each["file_path"].removesuffix(".yaml")): each["check_name"] for each in results["failed_checks"]}
    accepted = {(check, pattern) for check, (patterns, _) in ACCEPTED.items() for pattern in patterns}
    used = {(check, pattern) for check, pattern in accepted for failure, path in failed if failure == check and fnmatch(path, pattern)}
    open_ = {
        key: name for key, name in failed.items() if not any(key[0] == check and fnmatch(key[1], pattern) for check, pattern in accepted)
    }
    assert open_ == {}
    assert used == accepted, "an acceptance that nothing needs any more"
