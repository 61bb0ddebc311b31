"""The script of RabbitMQ's startup probe, on a real broker: what a newer version needs is enabled."""

from fiboperator.resources import rabbitmq
from lab.services import RabbitMQ
from tests.waiting import eventually


class Upgraded(RabbitMQ):
    """A broker whose features are as an upgrade leaves them: those that may be off are off."""

    def environment(self) -> dict[str, str]:
        """The variables of the container."""
        return {**super().environment(), "RABBITMQ_FEATURE_FLAGS": "", "AMQP_PORT": str(self.port)}

    def disabled(self) -> list[str]:
        """The features that are off."""
        done = self.execute("rabbitmqctl", "--silent", "list_feature_flags", "name", "state", "stability")
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in done.stdout.splitlines()]
        return [name for name, state, stability in rows if (state, stability) == ("disabled", "stable")]


def test_the_features_of_a_newer_broker_are_enabled_once_it_is_up() -> None:
    with Upgraded() as broker:
        assert broker.disabled(), "the broker is no upgraded one"
        started = broker.execute("bash", "-c", rabbitmq.STARTED_SCRIPT, seconds=5)
        assert started.returncode == 0, started.stderr
        eventually(lambda: not broker.disabled(), "all features to be enabled", 60, 1)


def test_a_broker_that_does_not_listen_has_not_started() -> None:
    with Upgraded() as broker:
        done = broker.execute("bash", "-c", "AMQP_PORT=1; " + rabbitmq.STARTED_SCRIPT)
        assert done.returncode != 0
