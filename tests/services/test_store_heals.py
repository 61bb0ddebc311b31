"""The scripts of PostgreSQL's pod, on a real server: role and database are there again by themselves, whatever was done to them."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest

from fiboperator.resources import pods, postgresql
from lab.process import child_of
from lab.services import PostgreSQL
from tests.waiting import eventually

# Nothing in it may be taken for syntax.
PASSWORD = 'it\'s a "secret" \\ $HOME %s'
DATABASE = "orders"


class Store(PostgreSQL):
    """PostgreSQL as the operator's StatefulSet runs it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(user=postgresql.USER, password=PASSWORD, database=DATABASE)
        self.folder = folder
        self.write("secrets/password", PASSWORD)
        self.write("secrets/admin-password", "admin")
        self.write("scripts/start.sh", postgresql.START_SCRIPT)
        self.write("scripts/ready.sh", postgresql.READY_SCRIPT)

    def write(self, name: str, text: str) -> None:
        """Put a file where a volume of the pod has it."""
        file = self.folder / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    def mounts(self) -> dict[str, str]:
        """The volumes with Secret and ConfigMap."""
        return {pods.SECRETS_PATH: str(self.folder / "secrets"), postgresql.SCRIPTS_PATH: str(self.folder / "scripts")}

    def environment(self) -> dict[str, str]:
        """The variables of the container."""
        image = {name: value for name, value in super().environment().items() if not name.startswith("POSTGRES_")}
        return {
            **image,
            "PGPORT": str(self.port),
            "POSTGRES_USER": "postgres",
            "POSTGRES_PASSWORD_FILE": f"{pods.SECRETS_PATH}/admin-password",
            "POSTGRES_INITDB_ARGS": postgresql.INITDB_ARGS,
            "FIB_DATABASE": DATABASE,
        }

    def entry_command(self) -> list[str]:
        """The StatefulSet's own command, as the second process: the first is the pause container's."""
        return ["sh", "-c", '"$@"; exit $?', "pause", "sh", f"{postgresql.SCRIPTS_PATH}/start.sh", *self.command()]

    def container_process(self) -> int:
        """The process that is the container's first in a pod, or 0 while there is none."""
        assert self._process is not None
        first = child_of(self._process.pid)
        child = child_of(first) if first else None
        words = command_line(child) if child else []
        # Before it, there are the commands `mount` that set up the file system, and a copy of the pause container's shell.
        is_started = words[:1] == ["postgres"] or words[1:2] == [f"{postgresql.SCRIPTS_PATH}/start.sh"]
        return child if child and is_started else 0

    def stop(self, seconds: float = 60) -> None:
        """Send the image's stop signal to the container's process, as the kubelet does."""
        assert self._process is not None
        os.kill(eventually(self.container_process, "the container's process", interval=0.001), self.stop_signal)
        self._process.wait(seconds)

    def probe(self) -> tuple[bool, str]:
        """What the kubelet's probe says, and the text that its Event would have."""
        done = self.execute("sh", f"{postgresql.SCRIPTS_PATH}/ready.sh")
        return done.returncode == 0, done.stdout + done.stderr

    def until_ready(self) -> None:
        """Probe and restart as the kubelet does."""

        def succeeds() -> bool:
            if not self.running:
                self.launch()
            return self.probe()[0]

        eventually(succeeds, "the probe to succeed", 60, 0.2)

    def as_app(self) -> "psycopg2.extensions.connection":
        """A connection of the app's."""
        connection = psycopg2.connect(host="127.0.0.1", port=self.port, user=postgresql.USER, password=PASSWORD, dbname=DATABASE)
        connection.autocommit = True
        return connection

    def as_admin(self, *statements: str) -> None:
        """Run statements as the superuser."""
        for statement in statements:
            done = self.execute("psql", "--no-psqlrc", "--username=postgres", "--dbname=postgres", f"--command={statement}")
            assert done.returncode == 0, done.stderr

    def app_can_write(self) -> bool:
        """Can the app do all that it has to?"""
        connection = self.as_app()
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE IF NOT EXISTS probe (one int); INSERT INTO probe VALUES (1)")
        connection.close()
        return True


def command_line(pid: int) -> list[str]:
    """The command of a process; empty when it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A server that is not started yet."""
    store = Store(tmp_path)
    yield store
    store.close()


def test_a_new_volume_gets_role_database_and_a_locale_of_no_glibc(store: Store) -> None:
    store.launch()
    store.until_ready()
    assert store.app_can_write()
    connection = store.as_app()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT datlocprovider, datlocale, pg_encoding_to_char(encoding) FROM pg_database WHERE datname = current_database()"
        )
        assert cursor.fetchone() == ("b", "C.UTF-8", "UTF8")
        cursor.execute("SELECT rolsuper OR rolcreatedb OR rolcreaterole FROM pg_roles WHERE rolname = current_user")
        assert cursor.fetchone() == (False,)
        cursor.execute("SELECT lower('ÄÖ')")
        assert cursor.fetchone() == ("äö",)
    connection.close()


@pytest.mark.parametrize(
    "statements",
    [
        (f"DROP DATABASE {DATABASE} WITH (FORCE)", f"DROP ROLE {postgresql.USER}"),
        (f"DROP DATABASE {DATABASE} WITH (FORCE)",),
        (f"ALTER ROLE {postgresql.USER} PASSWORD 'another'",),
        (f"ALTER ROLE {postgresql.USER} NOLOGIN",),
        (f"ALTER ROLE {postgresql.USER} VALID UNTIL '2000-01-01'",),
        (f"ALTER ROLE {postgresql.USER} CONNECTION LIMIT 0",),
        (f"ALTER DATABASE {DATABASE} ALLOW_CONNECTIONS false",),
        (f"ALTER DATABASE {DATABASE} OWNER TO postgres",),
    ],
    ids=lambda statements: statements[-1],
)
def test_what_is_dropped_or_locked_by_hand_is_made_again(store: Store, statements: tuple[str, ...]) -> None:
    store.launch()
    store.until_ready()
    store.as_admin(*statements)
    assert store.probe()[0]
    assert store.app_can_write()


def test_probing_a_sound_server_changes_nothing_and_a_full_one_is_no_reason_to_fail(store: Store) -> None:
    store.args = ("-c", "max_connections=8", "-c", "log_statement=all")
    store.launch()
    store.until_ready()
    before = store.log_tail(1000).count("ALTER ROLE")
    assert store.probe()[0]
    assert store.log_tail(1000).count("ALTER ROLE") == before
    held = [store.as_app() for _ in range(5)]
    assert store.probe()[0]
    for connection in held:
        connection.close()


def test_what_cannot_be_mended_is_named_without_the_password(store: Store) -> None:
    store.launch()
    store.until_ready()
    store.as_admin(
        f"DROP DATABASE {DATABASE} WITH (FORCE)", "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
    )
    eventually(lambda: "in a read-only transaction" in store.probe()[1], "the reason")
    ready, words = store.probe()
    assert not ready
    assert PASSWORD not in words + store.log_tail(1000)


def test_a_server_that_was_stopped_while_its_volume_was_initialised_starts_all_the_same(store: Store) -> None:
    for least in ("PG_VERSION", "global/pg_control", "postgresql.auto.conf"):
        store.launch()
        made = store.data_dir / "18/docker.new" / least
        eventually(made.exists, f"initdb to write {least}", 30, 0.001)
        begun = time.monotonic()
        store.stop(seconds=20)
        assert time.monotonic() - begun < 10
        assert not (store.data_dir / "18/docker").exists()
    store.launch()
    store.until_ready()
    assert store.app_can_write()
    store.kill()
    store.launch()
    store.until_ready()
    connection = store.as_app()
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM probe")
        assert cursor.fetchone() == (1,), "what was written is there after a crash"
    connection.close()


def test_the_cluster_of_another_major_version_is_left_alone_and_named(store: Store) -> None:
    old = store.data_dir / "17/docker"
    old.mkdir(parents=True)
    (old / "PG_VERSION").write_text("17\n")
    store.launch()
    eventually(lambda: not store.running, "the server to end")
    assert "another version" in store.log_tail() or "pg_upgrade" in store.log_tail()
    assert not (store.data_dir / "18").exists() or not list((store.data_dir / "18").rglob("PG_VERSION"))


def test_a_stop_signal_ends_a_server_at_any_time(store: Store) -> None:
    store.launch()
    store.until_ready()
    store.stop()
    for _ in range(3):
        store.launch()
        begun = time.monotonic()
        store.stop(seconds=20)
        assert time.monotonic() - begun < 10
