"""A spec is read under the CRD of another release: newer fields are ignored, and what an older CRD lacks gets this release's default."""

import logging
from typing import Any

import pytest

from fiboperator import schema, spec
from fiboperator.spec import InvalidSpec, parse
from tests.pipelines import fibpipeline


@pytest.fixture(autouse=True)
def _nothing_logged_yet() -> None:
    spec._log_once.cache_clear()


def test_the_defaults_that_come_with_the_operator_are_those_of_the_crd() -> None:
    given: dict[str, Any] = {"worker": {"resources": {"requests": {"cpu": "2"}}}}
    assert schema.defaulted(given) == fibpipeline(given)["spec"]
    assert given == {"worker": {"resources": {"requests": {"cpu": "2"}}}}, "what is given stays as it is"


def test_fields_of_a_newer_crd_are_ignored_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    newer = fibpipeline()
    newer["spec"]["backup"] = {"schedule": ""}
    newer["spec"]["api"] |= {"notYetInvented": "", "replicas": 5}
    with caplog.at_level(logging.WARNING):
        assert parse(newer).spec.api.replicas == 5
        parse(newer)
    [record] = caplog.records
    assert "spec.api.notYetInvented, spec.backup" in record.getMessage()


@pytest.mark.parametrize("path", ["fibonacci", "fibonacci.maxN", "worker.autoscaling.behavior", "ingress.tls.secretName"])
def test_a_field_that_an_older_crd_lacks_has_its_default(caplog: pytest.LogCaptureFixture, path: str) -> None:
    older = fibpipeline({"api": {"replicas": 7}})
    *outer, name = path.split(".")
    inner = older["spec"]
    for step in outer:
        inner = inner[step]
    del inner[name]
    with caplog.at_level(logging.WARNING):
        assert parse(older).spec == parse(fibpipeline({"api": {"replicas": 7}})).spec
    assert f"spec.{path}" in caplog.text


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [("deletionPolicy", "Archive", "spec.deletionPolicy: Input should be 'Retain' or 'Delete'"), ("api", 3, "spec.api: Input should be")],
)
def test_a_value_that_this_release_does_not_know_is_named(field: str, value: Any, words: str) -> None:
    newer = fibpipeline()
    newer["spec"][field] = value
    with pytest.raises(InvalidSpec, match=words):
        parse(newer)
