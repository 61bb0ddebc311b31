"""The main job as a user does it with curl: a number goes in, a worker pod computes it, the result is shown (on the page: test_page.py)."""

import pytest

from tests.e2e.conftest import Pipeline


@pytest.mark.parametrize(("n", "result"), [(5, "5"), (20, "6765"), (30, "832040")])
def test_a_number_posted_is_computed_by_a_worker_pod(pipeline: Pipeline, n: int, result: str) -> None:
    job = pipeline.result(pipeline.submit(n))
    assert (job["state"], job["result"], job["attempts"]) == ("done", result, 1)
    pods = {f"worker@{pod['metadata']['name']}" for pod in pipeline.read("pods", "-l", "app.kubernetes.io/component=worker")["items"]}
    assert job["worker"] in pods


def test_a_number_of_two_hundred_thousand_digits_is_stored_whole(pipeline: Pipeline) -> None:
    path = pipeline.submit(1_000_000, "fast")
    job = pipeline.result(path)
    assert (job["state"], job["digits"]) == ("done", 208988)
    text = pipeline.http.get(job["result_url"]).text.strip()
    assert len(text) == 208988
    assert text.startswith("19532821287077577316") and text.endswith("68996526838242546875")


@pytest.mark.parametrize("path", ["/", "/api", "/flower"])
def test_the_addresses_people_type_lead_to_the_pages(pipeline: Pipeline, path: str) -> None:
    answer = pipeline.http.get(path, follow_redirects=True, auth=pipeline.flower_login())
    assert answer.status_code == 200
    assert "text/html" in answer.headers["content-type"]


def test_metrics_and_load_are_not_routed(pipeline: Pipeline) -> None:
    for path in ("/metrics", "/load", "/api/metrics", "/api/load"):
        assert pipeline.http.get(path).status_code == 404
