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
# Runs once, on an empty volume: the app's role owns its database and is no superuser.
INIT_SCRIPT = rf"""#!/bin/sh
set -eu
psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname=postgres --set=database="$FIB_DATABASE" <<'SQL'
\set password `cat {pods.SECRETS_PATH}/password`
CREATE ROLE {USER} LOGIN PASSWORD :'password';
CREATE DATABASE :"database" OWNER {USER};
REVOKE ALL ON DATABASE :"database" FROM PUBLIC;
SQL
"""


def objects(context: Context) -> list[Object]:
    """The store's children; none when it is external."""
    if context.pipeline.spec.postgresql.external.secret_name:
        return []
    ports: dict[str, tuple[int, str | int]] = {"postgresql": (names.POSTGRESQL_PORT, names.POSTGRESQL_PORT)}
    return [
        _secret(context),
        child("v1", "ConfigMap", context, COMPONENT, data={"10-role.sh": INIT_SCRIPT}),
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
    # Over TCP: while the image initialises an empty volume its temporary server listens on the socket only.
    accepting = {"exec": {"command": ["pg_isready", "--quiet", "--host=127.0.0.1", "--username=postgres"]}}
    return pods.pod_template(
        context,
        COMPONENT,
        uid=pods.OFFICIAL_IMAGE_UID,
        config=[],  # password and init script act on an empty volume only, so a change of them is no reason to restart
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
                        "/docker-entrypoint-initdb.d": "init",
                    },
                    args=["postgres", "-c", f"max_connections={max_connections(spec)}"],
                    imagePullPolicy=spec.image_pull_policy,
                    env=pods.env(
                        POSTGRES_USER="postgres",
                        POSTGRES_PASSWORD_FILE=f"{pods.SECRETS_PATH}/admin-password",
                        POSTGRES_INITDB_ARGS="--auth-host=scram-sha-256",
                        FIB_DATABASE=spec.postgresql.database,
                    ),
                    ports=[{"name": "postgresql", "containerPort": names.POSTGRESQL_PORT, "protocol": "TCP"}],
                    startupProbe=pods.probe(accepting, 1, failures=600),
                    readinessProbe=pods.probe(accepting, 10),
                    livenessProbe=pods.probe({"tcpSocket": {"port": "postgresql"}}, 30, failures=6),
                )
            ],
            "volumes": [
                pods.secret_volume(context, {key: (context.name(COMPONENT), key) for key in credentials.GENERATED[COMPONENT]}),
                {"name": "init", "configMap": {"name": context.name(COMPONENT), "defaultMode": 0o555}},
                *pods.scratch("run", "tmp"),
            ],
        },
    )
