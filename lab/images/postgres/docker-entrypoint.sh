#!/bin/bash
# Starts PostgreSQL the way the official image does; on an empty data directory it first creates role, database and runs the init files.
set -Eeo pipefail

# Fills variable $1 from itself, from the file $1_FILE names, or with $2.
from_file() {
    local name="$1" file_name="$1_FILE" value="${2:-}"
    if [ -n "${!name:-}" ] && [ -n "${!file_name:-}" ]; then
        echo >&2 "error: both $name and $file_name are set (only one of them may be)"
        exit 1
    fi
    if [ -n "${!name:-}" ]; then
        value="${!name}"
    elif [ -n "${!file_name:-}" ]; then
        value="$(<"${!file_name}")"
    fi
    export "$name=$value"
    unset "$file_name"
}

# psql on the temporary server. It only answers on its socket, whose authentication is the initdb default or what POSTGRES_INITDB_ARGS says.
run_sql() {
    PGHOST='' PGHOSTADDR='' psql -v ON_ERROR_STOP=1 --no-psqlrc --no-password --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" "$@"
}

run_init_file() {
    case "$1" in
        *.sh)
            if [ -x "$1" ]; then
                echo "running $1"
                "$1"
            else
                echo "sourcing $1"
                # shellcheck disable=SC1090
                . "$1"
            fi
            ;;
        *.sql) echo "running $1"; run_sql -f "$1" ;;
        *.sql.gz) echo "running $1"; gunzip -c "$1" | run_sql ;;
        *.sql.xz) echo "running $1"; xzcat "$1" | run_sql ;;
        *.sql.zst) echo "running $1"; zstd -dc "$1" | run_sql ;;
        *) echo "ignoring $1" ;;
    esac
}

create_cluster() {
    from_file POSTGRES_PASSWORD
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS
    local auth="${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}"
    if [ -z "$POSTGRES_PASSWORD" ] && [ "$auth" != trust ]; then
        echo >&2 "error: the database is empty and POSTGRES_PASSWORD is not set: give the superuser a password"
        exit 1
    fi

    eval 'initdb --username="$POSTGRES_USER" --pwfile=<(printf "%s\n" "$POSTGRES_PASSWORD") '"$POSTGRES_INITDB_ARGS"
    printf '\nhost all all all %s\n' "$auth" >> "$PGDATA/pg_hba.conf"

    # POSTGRES_INITDB_ARGS may ask for passwords on the socket too, and a client without one would wait for a terminal for ever.
    export PGPASSWORD="${PGPASSWORD-$POSTGRES_PASSWORD}"
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p ${PGPORT:-5432}" -w start
    if [ "$POSTGRES_DB" != postgres ]; then
        run_sql --dbname postgres --set db="$POSTGRES_DB" <<< 'CREATE DATABASE :"db";'
    fi
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        if [ -e "$file" ]; then
            run_init_file "$file"
        fi
    done
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    echo "PostgreSQL init process complete; ready for start up."
}

# A volume that holds the cluster of another major version only: an empty one beside it would hide it.
refuse_old_cluster() {
    local found
    for found in /var/lib/postgresql/PG_VERSION /var/lib/postgresql/data/PG_VERSION /var/lib/postgresql/*/docker/PG_VERSION; do
        if [ -s "$found" ]; then
            echo >&2 "error: there is the cluster of another version in $(dirname "$found"): upgrade it with pg_upgrade"
            exit 1
        fi
    done
}

main() {
    if [ "${1:0:1}" = '-' ]; then
        set -- postgres "$@"
    fi
    if [ "$1" != postgres ]; then
        exec "$@"
    fi
    local argument
    for argument in "$@"; do
        case "$argument" in
            -'?' | --help | --describe-config | -V | --version) exec "$@" ;;
        esac
    done

    if mountpoint -q /var/lib/postgresql/data; then
        echo >&2 "error: from 18 on the volume belongs at /var/lib/postgresql, not at /var/lib/postgresql/data (docker-library/postgres#1259)"
        exit 1
    fi
    mkdir -p "$PGDATA"
    chmod 00700 "$PGDATA" || :
    mkdir -p /var/run/postgresql || :
    if [ "$(id -u)" = 0 ]; then
        find "$PGDATA" /var/run/postgresql ! -user postgres -exec chown postgres {} +
        exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
    fi
    if [ -s "$PGDATA/PG_VERSION" ]; then
        echo "PostgreSQL database directory appears to contain a database; skipping initialization"
    else
        refuse_old_cluster
        create_cluster
    fi
    exec "$@"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    main "$@"
fi
