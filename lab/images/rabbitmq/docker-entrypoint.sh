#!/bin/bash
# Starts RabbitMQ the way the official image does: the arguments are the command, by default rabbitmq-server.
set -euo pipefail

# As root, hand the data over to the server's user and continue as that user.
if [ "$(id -u)" = 0 ] && [[ "${1:-}" == rabbitmq* ]]; then
    find /var/lib/rabbitmq ! -user rabbitmq -exec chown rabbitmq:rabbitmq {} +
    exec setpriv --reuid=rabbitmq --regid=rabbitmq --init-groups "$0" "$@"
fi

# Variables the image once turned into configuration; since 3.9 a configuration file must say it, and silence would hide the mistake.
refused=()
for name in "${!RABBITMQ_@}"; do
    case "$name" in
        *_FILE)
            case "$name" in
                RABBITMQ_CONFIG_FILE | RABBITMQ_ADVANCED_CONFIG_FILE | RABBITMQ_ENABLED_PLUGINS_FILE | \
                    RABBITMQ_CONF_ENV_FILE | RABBITMQ_PID_FILE) ;; # the server's own paths
                *) refused+=("$name") ;;
            esac
            ;;
        RABBITMQ_SSL_* | RABBITMQ_MANAGEMENT_SSL_* | RABBITMQ_VM_MEMORY_HIGH_WATERMARK | RABBITMQ_HIPE_COMPILE)
            refused+=("$name")
            ;;
    esac
done
if [ "${#refused[@]}" -gt 0 ]; then
    for name in "${refused[@]}"; do
        echo >&2 "error: $name is set but no longer supported; write it into a file in /etc/rabbitmq/conf.d/ instead"
    done
    exit 1
fi

exec "$@"
