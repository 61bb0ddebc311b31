"""One RabbitMQ and one PostgreSQL for the tier; a pipeline of its own for each test that asks for one."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lab.services import PostgreSQL, RabbitMQ
from tests.services.pipeline import Pipeline


@pytest.fixture(scope="session")
def broker_of_session() -> Iterator[RabbitMQ]:
    """The broker of the tier."""
    with RabbitMQ() as broker:
        yield broker


@pytest.fixture(scope="session")
def database_of_session() -> Iterator[PostgreSQL]:
    """The database server of the tier; it must hold the connections of several pipelines."""
    with PostgreSQL(args=("-c", "max_connections=200")) as database:
        yield database


@pytest.fixture
def broker(broker_of_session: RabbitMQ) -> Iterator[RabbitMQ]:
    """The broker, healthy again after a test that hurt it."""
    yield broker_of_session
    broker_of_session.thaw()
    if not broker_of_session.running:
        broker_of_session.start()


@pytest.fixture
def database(database_of_session: PostgreSQL) -> Iterator[PostgreSQL]:
    """The database server, healthy again after a test that hurt it."""
    yield database_of_session
    database_of_session.thaw()
    if not database_of_session.running:
        database_of_session.start()


@pytest.fixture
def pipeline(broker: RabbitMQ, database: PostgreSQL, tmp_path: Path) -> Iterator[Pipeline]:
    """A pipeline without processes yet; all that are started end with the test."""
    with Pipeline(broker, database, tmp_path) as pipeline:
        yield pipeline


@pytest.fixture(scope="session")
def standing(broker_of_session: RabbitMQ, database_of_session: PostgreSQL, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A running pipeline shared by the tests that hurt nothing."""
    with Pipeline(broker_of_session, database_of_session, tmp_path_factory.mktemp("standing")) as pipeline:
        yield pipeline.up(concurrency=2)


@pytest.fixture
def pipelines(broker: RabbitMQ, database: PostgreSQL, tmp_path: Path) -> Iterator[Callable[..., Pipeline]]:
    """Makes pipelines with settings of the test's own."""
    made: list[Pipeline] = []

    def make(**settings: str) -> Pipeline:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(Pipeline(broker, database, folder, settings))
        return made[-1]

    yield make
    for pipeline in made:
        pipeline.__exit__()
