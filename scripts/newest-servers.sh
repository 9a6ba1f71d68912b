#!/usr/bin/env bash
# The tests of the stores, against the newest servers that Debian has (sid): MySQL itself, Valkey, Redis, PostgreSQL, MariaDB.
# They are installed into a folder of their own and run from there, on 127.0.0.1. Needs Debian, root, `debootstrap`, the network and 3 GB.
#
#   npm run test:newest-servers           # removes the folder afterwards
#   KEEP=/tmp/sid npm run test:newest-servers   # keeps it there, and uses it the next time
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

root=${KEEP:-$(mktemp -d /tmp/newest-servers.XXXXXX)}
chmod 755 "$root" 2>/dev/null || true
servers=()
finish() {
  for pid in "${servers[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait
  [[ -n ${KEEP:-} ]] || rm -rf --one-file-system "$root"
}
trap finish EXIT

inside() { chroot "$root" "$@"; }

install() {
  # What can't be started in a folder (systemd, a service's set-up) may fail: whether the programs are there shows when they run.
  DEBIAN_FRONTEND=noninteractive inside apt-get install --yes --no-install-recommends -o Acquire::Check-Valid-Until=false "$@" \
    >"$root/install.log" 2>&1 || true
}

free_port() { node -e 'const s=require("net").createServer().listen(0,"127.0.0.1",()=>{console.log(s.address().port);s.close()})'; }

# start <what to call it> <port> <command…>: in the folder, until this script ends
start() {
  local name=$1 port=$2 patience=120
  shift 2
  chroot "$root" "$@" >"$root/$name.log" 2>&1 &
  servers+=($!)
  until (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do
    ((patience-- > 0)) || { tail -5 "$root/$name.log"; echo "$name did not start"; exit 1; }
    sleep 0.5
  done
}

# check <what> <variable> <URL> <tests>: a skipped test counts as failed
check() {
  printf '\n=== %s\n' "$1"
  env "$2=$3" node scripts/test.ts "$4" | tail -1 | tee "$root/last"
  grep -q '^PASS.* 0 skipped' "$root/last"
}

[[ -x $root/bin/sh ]] || { echo "Installing Debian sid into $root …"; debootstrap --variant=minbase sid "$root" http://deb.debian.org/debian >"$root.log" 2>&1; rm -f "$root.log"; }
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
inside sh -c 'id mysql >/dev/null 2>&1 || useradd --system mysql; mkdir -p /run/mysqld; chown mysql /run/mysqld'

echo "Installing Valkey, Redis, PostgreSQL and MySQL …"
install valkey-server redis-server postgresql mysql-server-core

for kind in valkey redis; do
  port=$(free_port)
  start $kind "$port" /usr/bin/$kind-server --port "$port" --bind 127.0.0.1 --save '' --appendonly no
  check "$(inside /usr/bin/$kind-server --version | cut -d' ' -f1-3)" REDIS_URL "redis://127.0.0.1:$port" test/stores/redis
done

version=$(ls "$root/usr/lib/postgresql" | sort -n | tail -1)
postgres=/usr/lib/postgresql/$version/bin
inside sh -c "rm -rf /var/test-postgres && mkdir /var/test-postgres && chown postgres /var/test-postgres &&
  su postgres -s /bin/sh -c '$postgres/initdb -D /var/test-postgres -U root --auth=trust --encoding=UTF8 --locale=C'" >"$root/postgres.log" 2>&1
port=$(free_port)
start postgres "$port" su postgres -s /bin/sh -c "exec $postgres/postgres -D /var/test-postgres -p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c max_connections=300"
check "$(inside "$postgres/postgres" --version)" DATABASE_URL "postgres://root@127.0.0.1:$port/postgres" test/stores/postgres

# mysqld and mariadbd are in each other's way as packages.
for kind in mysqld mariadbd; do
  [[ $kind == mysqld ]] && install mysql-server-core || { echo "Installing MariaDB …"; install mariadb-server-core mariadb-client-core; }
  inside sh -c "rm -rf /var/test-$kind && mkdir /var/test-$kind && chown mysql /var/test-$kind"
  if [[ $kind == mysqld ]]; then
    inside mysqld --no-defaults --initialize-insecure --user=mysql --datadir=/var/test-mysqld >"$root/mysqld.log" 2>&1
    options=(--mysqlx=OFF --secure-file-priv=NULL)
  else
    inside mariadb-install-db --no-defaults --force --skip-name-resolve --user=mysql --datadir=/var/test-mariadbd \
      --auth-root-authentication-method=normal --skip-test-db >"$root/mariadbd.log" 2>&1
    options=(--skip-name-resolve)
  fi
  port=$(free_port)
  start $kind "$port" $kind --no-defaults --user=mysql --datadir=/var/test-$kind --port="$port" --bind-address=127.0.0.1 \
    --socket=/run/mysqld/test.sock --pid-file=/run/mysqld/test.pid "${options[@]}"
  node --input-type=module -e "import mysql from 'mysql2/promise';
    const connection = await mysql.createConnection('mysql://root@127.0.0.1:$port/');
    await connection.query('CREATE DATABASE IF NOT EXISTS test'); await connection.end();"
  check "$(inside $kind --version)" MYSQL_URL "mysql://root@127.0.0.1:$port/test" test/stores/mysql
  kill "${servers[-1]}"
  wait "${servers[-1]}" || true
done
printf '\nPASS\n'
