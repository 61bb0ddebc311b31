#!/bin/sh
# Runs inside the new root: uid, gid and locale as in the official image, and its sample configuration listens on every address.
set -e
groupmod --gid 989 lpadmin
groupmod --gid 999 postgres
usermod --uid 999 --gid 999 --home /var/lib/postgresql postgres
localedef -i en_US -c -f UTF-8 en_US.UTF-8
sample=/usr/share/postgresql/18/postgresql.conf.sample
sed -i "s/^#listen_addresses = 'localhost'/listen_addresses = '*'/" "$sample"
grep -q "^listen_addresses = '\*'" "$sample"
rm -rf /var/lib/postgresql /var/run/postgresql /var/log/postgresql
install -d -o 999 -g 999 -m 1777 /var/lib/postgresql
install -d -o 999 -g 999 -m 3777 /run/postgresql
install -d /docker-entrypoint-initdb.d
