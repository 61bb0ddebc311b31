#!/bin/bash
# Creates the cluster in $PGDATA as docker-entrypoint.sh does, and ends without starting the server; does nothing where there is one.
set -Eeo pipefail
# shellcheck source=lab/images/postgres/docker-entrypoint.sh
. /usr/local/bin/docker-entrypoint.sh

if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA"
    chmod 00700 "$PGDATA"
    create_cluster
fi
