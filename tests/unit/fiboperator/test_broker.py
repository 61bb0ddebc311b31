"""A broker that runs and takes no messages is named, with what helps."""

import pytest

from fiboperator import broker
from fiboperator.autoscale import BrokerError, Load, Reading
from fiboperator.health import Verdict
from fiboperator.spec import parse
from tests.pipelines import fibpipeline
from tests.unit.fiboperator.world import World

WELL = Verdict(True, "Available", "1 of 1 pods are ready.")
STARTING = Verdict(False, "Progressing", "StatefulSet demo-rabbitmq: 0 of 1 pods are ready.")
EXTERNAL = Verdict(True, "External", "Not run here.")
DOUBTED = Verdict(False, "External", "Nobody knows.", known=False)
MISSING = Verdict(False, "SecretNotFound", "Secret mine does not exist.")
OUTSIDE = {"rabbitmq": {"external": {"secretName": "mine"}}}


@pytest.mark.parametrize(
    ("spec", "verdict", "cause", "reason", "words"),
    [
        pytest.param({}, WELL, "alarm", "BrokerAlarm", "RabbitMQ takes no messages: why. Jobs are accepted meanwhile", id="alarm"),
        pytest.param({}, WELL, "refused", "BrokerRefuses", "logs deployment/demo-api -c relay", id="refused"),
        pytest.param({}, WELL, "unreachable", "Available", "1 of 1", id="unreachable: the readiness of its pod is faster"),
        pytest.param({}, STARTING, "alarm", "Progressing", "0 of 1", id="not even started"),
        pytest.param(OUTSIDE, EXTERNAL, "alarm", "BrokerAlarm", "The broker that Secret mine names takes no messages", id="external alarm"),
        pytest.param(OUTSIDE, DOUBTED, "refused", "BrokerRefuses", "Correct user, password and virtual host in Secret mine", id="login"),
        pytest.param(OUTSIDE, EXTERNAL, "unreachable", "BrokerUnreachable", "does not answer: why", id="external unreachable"),
        pytest.param(OUTSIDE, MISSING, "unreachable", "SecretNotFound", "does not exist", id="no Secret"),
        pytest.param({}, WELL, "something new", "Available", "1 of 1", id="of a newer app"),
    ],
)
def test_what_the_relay_has_seen(spec: dict[str, object], verdict: Verdict, cause: str, reason: str, words: str) -> None:
    found = broker.taking(parse(fibpipeline(spec)), verdict, BrokerError(cause=cause, words="why"))
    assert found.reason == reason
    assert words in found.message
    assert found.ready is (found.reason == "Available")


def test_a_broker_that_takes_messages_is_what_it_was() -> None:
    assert broker.taking(parse(fibpipeline()), WELL, None) == WELL


def test_however_much_a_broker_says_the_load_is_understood() -> None:
    assert len(BrokerError(cause="refused", words="x" * 100_000).words) == 500


async def test_an_alarm_reaches_the_status_and_leaves_it_again() -> None:
    world = World()
    await world.reconcile()
    stateful_set = world.cluster.objects["StatefulSet", "demo-rabbitmq"]
    counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 1)
    stateful_set["status"] = {"observedGeneration": 1, **counts}
    stateful_set["metadata"]["resourceVersion"] = str(next(world.cluster.versions))
    world.watch()

    async def condition_with(error: BrokerError | None) -> tuple[str, str]:
        load = Load(version="1", queued=1, running=0, seconds=1, running_seconds=0, busy={}, broker=error)
        world.loads.reading = Reading(load)
        await world.reconcile()
        return world.condition("BrokerReady")["status"], world.condition("BrokerReady")["reason"]

    assert await condition_with(BrokerError(cause="alarm", words="low on disk")) == ("False", "BrokerAlarm")
    assert await condition_with(None) == ("True", "Available")
