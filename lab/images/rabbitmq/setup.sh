#!/bin/sh
# Runs inside the new root: uid, gid as in the official image, and its paths, of which /opt/rabbitmq holds the server.
set -e
groupmod --gid 989 lpadmin
groupmod --gid 999 rabbitmq
usermod --uid 999 --gid 999 rabbitmq
ln -s /usr/lib/rabbitmq/lib/rabbitmq_server-* /opt/rabbitmq
rm -rf /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq
install -d -o 999 -g 999 -m 1777 /var/lib/rabbitmq /var/log/rabbitmq /etc/rabbitmq /etc/rabbitmq/conf.d
printf 'loopback_users.guest = false\nlog.console = true\n' > /etc/rabbitmq/conf.d/10-defaults.conf
printf '[rabbitmq_management,rabbitmq_prometheus].\n' > /etc/rabbitmq/enabled_plugins
chown -R 999:999 /etc/rabbitmq
