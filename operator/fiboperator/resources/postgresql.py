"""PostgreSQL, the store: a StatefulSet of one with its volume, unless the spec names an external one."""

import math
from urllib.parse import quote

from .. import names
from ..names import Component
from ..spec import Spec
from . import credentials, pods
from .objects import Context, Object, child, service, service_account
from .stateful import stateful_set

COMPONENT = Component.POSTGRESQL
USER = "fib"
# A connection slot costs little memory; an exhausted server loses work. In steps, because each change restarts the store.
CONNECTIONS_STEP = 500
# API: a pool of 8 and a listener. Relay: a pool of 2 and a listener. The migration before them: 1.
CONNECTIONS_PER_API_POD = 13
# Superusers (superuser_reserved_connections is 3) and people.
CONNECTIONS_RESERVED = 20
SCRIPTS_PATH = "/etc/fibpipeline"
# `builtin` sorts by code point in every image: an index that was built under one glibc is wrong under another.
# https://wiki.postgresql.org/wiki/Locale_data_changes
INITDB_ARGS = (
    "--auth-local=trust --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --locale-provider=builtin --builtin-locale=C.UTF-8"
)
# The image takes every folder with a PG_VERSION for a finished cluster, and initdb writes that file first: a pod that is stopped while it
# initialises its volume would never start again. So the cluster is made beside its place and renamed once it is complete.
# https://github.com/docker-library/postgres/blob/master/docker-ensure-initdb.sh
# The server then replaces this shell directly: the image's entry script is bash, which loses a SIGINT (the image's stop signal) that
# comes while it waits for a command.
START_SCRIPT = """#!/bin/sh
set -eu
if [ -z "$(find /var/lib/postgresql -maxdepth 3 -name PG_VERSION -not -path "$PGDATA.new/*" 2>/dev/null)" ]; then
    rm -rf "$PGDATA.new"
    PGDATA="$PGDATA.new" docker-ensure-initdb.sh "$@"
    rmdir "$PGDATA" 2>/dev/null || :
    mv -T "$PGDATA.new" "$PGDATA"
fi
if [ -s "$PGDATA/PG_VERSION" ]; then
    # A volume's fsGroup may have made it writable for the group, which the server refuses.
    chmod 700 "$PGDATA"
    exec "$@"
fi
# The volume holds the cluster of another major version: the entry script says what to do.
exec docker-entrypoint.sh "$@"
"""
# Ready when the app can log in. If it cannot, its role and database are created or corrected: on a new volume, and after they were dropped
# or changed by hand. The role owns its database and is no superuser. A connection that fails because all slots are taken leads here too,
# which the reserved slots of the superuser allow; then these statements change nothing.
READY_SCRIPT = rf"""#!/bin/sh
set -eu
password="$(cat {pods.SECRETS_PATH}/password)"
export PGCONNECT_TIMEOUT=5
psql="psql --no-psqlrc --no-password --quiet --set=ON_ERROR_STOP=1"
if PGDATABASE="$FIB_DATABASE" PGPASSWORD="$password" $psql --host=127.0.0.1 --username={USER} --command='' 2>/dev/null; then
    exit 0
fi
# While the image initialises an empty volume its temporary server listens on the socket only.
pg_isready --host=127.0.0.1 --username=postgres
$psql --username=postgres --dbname=postgres --set=database="$FIB_DATABASE" <<'SQL'
-- A statement that fails is logged, and one of these holds the password.
SET log_min_error_statement = panic;
\set password `cat {pods.SECRETS_PATH}/password`
SELECT 'CREATE ROLE {USER}' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{USER}') \gexec
ALTER ROLE {USER} LOGIN PASSWORD :'password' VALID UNTIL 'infinity' CONNECTION LIMIT -1;
SELECT format('CREATE DATABASE %I OWNER {USER}', :'database') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \gexec
ALTER DATABASE :"database" OWNER TO {USER};
ALTER DATABASE :"database" ALLOW_CONNECTIONS true CONNECTION LIMIT -1;
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
SQL
"""  # noqa: S608 - psql quotes what comes from the spec


def objects(context: Context) -> list[Object]:
    """The store's children; none when it is external."""
    if context.pipeline.spec.postgresql.external.secret_name:
        return []
    ports: dict[str, tuple[int, str | int]] = {"postgresql": (names.POSTGRESQL_PORT, names.POSTGRESQL_PORT)}
    return [
        _secret(context),
        child("v1", "ConfigMap", context, COMPONENT, data={"start.sh": START_SCRIPT, "ready.sh": READY_SCRIPT}),
        service_account(context, COMPONENT),
        service(context, COMPONENT, ports, headless=True),
        service(context, COMPONENT, ports),
        stateful_set(context, COMPONENT, _template(context), context.pipeline.spec.postgresql.storage),
    ]


def uri_source(context: Context) -> tuple[str, str]:
    """The (Secret, key) that holds the database's URI."""
    return context.pipeline.spec.postgresql.external.secret_name or context.name(COMPONENT), "uri"


def _secret(context: Context) -> Object:
    password = context.credentials[COMPONENT]["password"]
    database = context.pipeline.spec.postgresql.database
    host = f"{context.name(COMPONENT)}:{names.POSTGRESQL_PORT}"
    uri = f"postgresql://{USER}:{quote(password, safe='')}@{host}/{quote(database, safe='')}"
    return credentials.secret(context, COMPONENT, {"username": USER, "database": database, "uri": uri})


def max_connections(spec: Spec) -> int:
    """The connections that the pipeline needs at most, rounded up to a step.

    A rollout counts: one API pod more, and twice the workers, because those that finish their last job keep their connections.
    """
    workers = 2 * spec.worker.bounds[1] * (spec.worker.concurrency + 1)
    needed = workers + (spec.api.replicas + 1) * CONNECTIONS_PER_API_POD + CONNECTIONS_RESERVED
    return math.ceil(needed / CONNECTIONS_STEP) * CONNECTIONS_STEP


def _template(context: Context) -> Object:
    spec = context.pipeline.spec
    ready = {"exec": {"command": ["sh", f"{SCRIPTS_PATH}/ready.sh"]}}
    return pods.pod_template(
        context,
        COMPONENT,
        uid=pods.OFFICIAL_IMAGE_UID,
        config=[],  # the readiness probe brings a change of the password to the server, so none of them is a reason to restart
        spec={
            "terminationGracePeriodSeconds": 60,
            "containers": [
                pods.container(
                    "postgresql",
                    spec.postgresql.image,
                    spec.postgresql.resources,
                    {
                        "/var/lib/postgresql": "data",
                        "/var/run/postgresql": "run",
                        "/tmp": "tmp",  # noqa: S108 - an emptyDir of the pod's own
                        pods.SECRETS_PATH: "secrets",
                        SCRIPTS_PATH: "scripts",
                    },
                    command=["sh", f"{SCRIPTS_PATH}/start.sh"],
                    args=["postgres", "-c", f"max_connections={max_connections(spec)}"],
                    imagePullPolicy=spec.image_pull_policy,
                    env=pods.env(
                        POSTGRES_USER="postgres",
                        POSTGRES_PASSWORD_FILE=f"{pods.SECRETS_PATH}/admin-password",
                        POSTGRES_INITDB_ARGS=INITDB_ARGS,
                        FIB_DATABASE=spec.postgresql.database,
                    ),
                    ports=[{"name": "postgresql", "containerPort": names.POSTGRESQL_PORT, "protocol": "TCP"}],
                    startupProbe=pods.probe(ready, 1, failures=600, timeout=30),
                    readinessProbe=pods.probe(ready, 10, timeout=10),
                    livenessProbe=pods.probe({"tcpSocket": {"port": "postgresql"}}, 30, failures=6),
                )
            ],
            "volumes": [
                pods.secret_volume(context, {key: (context.name(COMPONENT), key) for key in credentials.GENERATED[COMPONENT]}),
                {"name": "scripts", "configMap": {"name": context.name(COMPONENT), "defaultMode": 0o555}},
                *pods.scratch(run="16Mi", tmp="128Mi"),
            ],
        },
    )
