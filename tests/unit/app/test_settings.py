"""Settings: where they come from and what they refuse."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from fibapp.queue import configuration
from fibapp.settings import Settings, load_settings

CONSUMER_TIMEOUT_SECONDS = 1800
"""RabbitMQ's default: a message held longer is taken away and its consumer is cancelled."""


def test_files_fill_in_what_the_environment_does_not_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fib_database_url").write_text("postgresql://fib:p%40ss@db:5432/fib\n")
    (tmp_path / "fib_broker_url").write_text("amqp://file")
    monkeypatch.setenv("FIB_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("FIB_BROKER_URL", "amqp://environment")
    monkeypatch.setenv("FIB_MAX_N", "5000")
    settings = load_settings()
    assert settings.database_url.get_secret_value().strip() == "postgresql://fib:p%40ss@db:5432/fib"
    assert settings.broker_url.get_secret_value() == "amqp://environment"
    assert settings.max_n == 5000


def test_a_missing_folder_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FIB_SECRETS_DIR", "/nowhere")
    assert load_settings().max_recursive_n == 40


def test_credentials_do_not_print() -> None:
    settings = Settings(database_url="postgresql://u:hidden@h/d", broker_url="amqp://u:hidden@h")  # type: ignore[arg-type]
    assert "hidden" not in repr(settings)


def test_row_44_the_time_limit_stays_below_the_brokers() -> None:
    assert Settings().job_time_limit_seconds < CONSUMER_TIMEOUT_SECONDS - 60
    with pytest.raises(ValidationError):
        Settings(job_time_limit_seconds=CONSUMER_TIMEOUT_SECONDS - 60)
    limit = next(rule.le for rule in Settings.model_fields["job_time_limit_seconds"].metadata if hasattr(rule, "le"))
    assert limit < CONSUMER_TIMEOUT_SECONDS - 60


def test_the_queue_loses_nothing_by_configuration() -> None:
    celery = configuration(Settings())
    assert celery["task_acks_late"] is True
    assert celery["task_reject_on_worker_lost"] is True
    assert celery["worker_prefetch_multiplier"] == 1
    assert celery["accept_content"] == ["json"]
    assert celery["task_create_missing_queues"] is False
    assert celery["control_queue_exclusive"] is celery["event_queue_exclusive"] is True
    assert celery["broker_connection_retry_on_startup"] is True
    [queue] = celery["task_queues"]
    assert queue.queue_arguments["x-queue-type"] == "quorum"
    assert queue.queue_arguments["x-dead-letter-routing-key"] == "fib.dead"
    assert queue.exchange.type == "topic"


def test_a_name_of_its_own_keeps_everything_of_a_pipeline_apart_and_the_default_changes_nothing() -> None:
    mine, default = configuration(Settings(queue="fib.team.demo.1a2b3c4d")), configuration(Settings())
    names = ("task_default_queue", "task_default_exchange", "task_default_routing_key", "event_exchange", "control_exchange")
    assert [default[name] for name in names] == ["fib", "fib", "fib", "celeryev", "celery"]
    assert all(mine[name].startswith("fib.team.demo.1a2b3c4d") for name in names)
    [queue] = mine["task_queues"]
    assert (queue.name, queue.routing_key, queue.exchange.name) == ("fib.team.demo.1a2b3c4d",) * 3
    assert queue.queue_arguments["x-dead-letter-routing-key"] == "fib.team.demo.1a2b3c4d.dead"
