"""One RabbitMQ and one PostgreSQL for the tier; a pipeline of its own for each test that asks for one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lab.services import PostgreSQL, RabbitMQ
from tests.browser import browser
from tests.services.pipeline import Pipeline

__all__ = ["browser"]

TOLD = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """Make room for what tests tell."""
    config.stash[TOLD] = []


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the figures of the run, whatever pytest's options are."""
    if told := config.stash[TOLD]:
        terminalreporter.section("the promise: no accepted job is lost, no result is stored twice")
        for line in told:
            terminalreporter.write_line(line)


@pytest.fixture
def tell(pytestconfig: pytest.Config) -> Callable[[str], None]:
    """Adds a line to the summary at the end of the run."""
    return pytestconfig.stash[TOLD].append


@contextmanager
def started() -> Iterator[tuple[RabbitMQ, PostgreSQL]]:
    """A broker and a database server, started at the same time."""
    # PostgreSQL must hold the connections of several pipelines.
    broker, database = RabbitMQ(), PostgreSQL(args=("-c", "max_connections=200"))
    with ExitStack() as stack:
        for server in (broker, database):
            stack.callback(server.close)
            server.launch()
        for server in (broker, database):
            server.wait_ready()
        yield broker, database


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[RabbitMQ, PostgreSQL]]:
    """Both servers of the tier."""
    with started() as both:
        yield both


@pytest.fixture(scope="module")
def servers_of_module() -> Iterator[tuple[RabbitMQ, PostgreSQL]]:
    """Both servers for a module that destroys them."""
    with started() as both:
        yield both


@pytest.fixture(scope="session")
def broker_of_session(servers: tuple[RabbitMQ, PostgreSQL]) -> RabbitMQ:
    """The broker of the tier."""
    return servers[0]


@pytest.fixture(scope="session")
def database_of_session(servers: tuple[RabbitMQ, PostgreSQL]) -> PostgreSQL:
    """The database server of the tier."""
    return servers[1]


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


@pytest.fixture
def idle(pipeline: Pipeline) -> Pipeline:
    """Only its API: what is submitted stays queued."""
    pipeline.migrate()
    pipeline.start_api()
    return pipeline


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
