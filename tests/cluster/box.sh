#!/usr/bin/env bash
# A cluster in a box: SLURM with accounting, sshd, PostgreSQL and RabbitMQ on loopback, without systemd.
#
#   export BOX=<empty scratch folder>     everything lies below it; all users must be able to enter it
#   export BOX_PORT=25400                 the first of nine ports, if 25400 to 25408 are taken
#   box.sh start | stop | status          start installs missing Debian packages; it needs root
#   box.sh up NAME | kill NAME            one service: munged postgres rabbitmq sshd mariadb slurmdbd slurmctld slurmd
#   box.sh purge                          RabbitMQ forgets every task that no worker has
#   box.sh env                            variables for a shell that uses the box
set -eu
: "${BOX:?set it to a scratch folder}"
PORT=${BOX_PORT:-25400}
POSTGRES=$PORT RABBITMQ=$((PORT + 1)) ERLANG=$((PORT + 2)) EPMD=$((PORT + 3)) SSH=$((PORT + 4))
SLURMCTLD=$((PORT + 5)) SLURMD=$((PORT + 6)) SLURMDBD=$((PORT + 7)) MARIADB=$((PORT + 8))
NODE=$(hostname -s)
SLOTS=${BOX_SLOTS:-8}
MEMORY=${BOX_MEMORY:-64000}
PACKAGES='munge slurm-wlm slurmctld slurmd slurm-client slurmdbd mariadb-server rabbitmq-server postgresql openssh-server'
ORDER='munged postgres rabbitmq sshd mariadb slurmdbd slurmctld slurmd'
export LANG=C.UTF-8 LC_ALL=C.UTF-8 SLURM_CONF=$BOX/etc/slurm.conf

fail() { echo "$*" >&2; exit 1; }
# Commands of SLURM block where a daemon is away, so every wait has an end.
wait_for() {
  local end=$((SECONDS + $1)); shift
  until "$@" >/dev/null 2>&1; do [ $SECONDS -lt $end ] || { echo "box: gave up waiting for: $*" >&2; return 1; }; sleep 0.2; done
}
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
pid() { local id; id=$(cut -d' ' -f1 "$(pid_file "$1")" 2>/dev/null | head -1) && [ -n "$id" ] && kill -0 "$id" 2>/dev/null && echo "$id"; }
gone() { ! kill -0 "$1" 2>/dev/null; }
idle() { timeout 3 sinfo -h -o %T | grep -qE 'idle|mixed|allocated'; }
pid_file() {
  case $1 in
    postgres) echo "$BOX/postgres/postmaster.pid" ;;
    slurmd) echo "$BOX/run/slurmd.$NODE.pid" ;;
    *) echo "$BOX/run/$1.pid" ;;
  esac
}
as_postgres() { setpriv --reuid=postgres --regid=postgres --init-groups -- "$@"; }
postgres_program() { ls /usr/lib/postgresql/*/bin/"$1" | tail -1; }
sql() { mariadb -S "$BOX/run/mariadb.sock" -uroot "$@"; }
rabbit() {
  env -i PATH="$PATH" HOME="$BOX/rabbitmq" LANG=C.UTF-8 RABBITMQ_CONF_ENV_FILE=/dev/null \
    RABBITMQ_NODENAME="box$PORT@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT=$RABBITMQ \
    RABBITMQ_DIST_PORT=$ERLANG ERL_EPMD_PORT=$EPMD ERL_EPMD_ADDRESS=127.0.0.1 \
    RABBITMQ_MNESIA_BASE="$BOX/rabbitmq/mnesia" RABBITMQ_LOG_BASE="$BOX/log" \
    RABBITMQ_CONFIG_FILE="$BOX/etc/rabbitmq.conf" RABBITMQ_ENABLED_PLUGINS_FILE="$BOX/etc/enabled_plugins" \
    RABBITMQ_PID_FILE="$BOX/run/rabbitmq.pid" \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS='+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none' "$@"
}

install_packages() {
  local missing=''
  for package in $PACKAGES; do dpkg -s "$package" >/dev/null 2>&1 || missing="$missing $package"; done
  [ -z "$missing" ] && return
  # The packages' own services would take the ports of a machine that has some already: none is started.
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  # shellcheck disable=SC2086
  (apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing) >/dev/null
  rm /usr/sbin/policy-rc.d
}

write_slurm() {
  cat >"$BOX/etc/slurm.conf" <<E
ClusterName=box
SlurmctldHost=$NODE(127.0.0.1)
SlurmctldPort=$SLURMCTLD
SlurmdPort=$SLURMD
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$BOX/run/munge.socket
StateSaveLocation=$BOX/spool/slurmctld
SlurmdSpoolDir=$BOX/spool/slurmd
SlurmctldPidFile=$BOX/run/slurmctld.pid
SlurmdPidFile=$BOX/run/slurmd.%n.pid
SlurmctldLogFile=$BOX/log/slurmctld.log
SlurmdLogFile=$BOX/log/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort=$SLURMDBD
AccountingStoragePass=$BOX/run/munge.socket
MpiDefault=none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=4000
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,sched_min_interval=100000,bf_interval=1,batch_sched_delay=0
ReturnToService=2
SlurmdParameters=config_overrides
SlurmdTimeout=20
SlurmctldTimeout=20
KillWait=2
MinJobAge=30
OverTimeLimit=0
MailProg=/bin/true
NodeName=$NODE NodeHostname=$NODE NodeAddr=127.0.0.1 CPUs=$SLOTS Boards=1 SocketsPerBoard=1 CoresPerSocket=$SLOTS ThreadsPerCore=1 RealMemory=$MEMORY State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
E
  printf 'CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n' >"$BOX/etc/cgroup.conf"
  cat >"$BOX/etc/slurmdbd.conf" <<E
AuthType=auth/munge
AuthInfo=socket=$BOX/run/munge.socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort=$SLURMDBD
SlurmUser=root
LogFile=$BOX/log/slurmdbd.log
PidFile=$BOX/run/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort=$MARIADB
StorageUser=slurm
StoragePass=box
StorageLoc=slurm
E
  chmod 600 "$BOX/etc/slurmdbd.conf" # slurmdbd refuses it otherwise
  cat >"$BOX/etc/my.cnf" <<E
[mysqld]
user=mysql
datadir=$BOX/mariadb
bind-address=127.0.0.1
port=$MARIADB
socket=$BOX/run/mariadb.sock
pid-file=$BOX/run/mariadb.pid
log-error=$BOX/mariadb/error.log
innodb_buffer_pool_size=64M
innodb_flush_log_at_trx_commit=0
innodb_lock_wait_timeout=900
E
  install -d -m 755 -o mysql -g mysql "$BOX/mariadb"
  mariadb-install-db --defaults-file="$BOX/etc/my.cnf" --skip-test-db --auth-root-authentication-method=normal \
    >"$BOX/log/mariadb-install.log" 2>&1
}

write_ssh() {
  ssh-keygen -q -t ed25519 -N '' -f "$BOX/ssh/host"
  ssh-keygen -q -t ed25519 -N '' -f "$BOX/ssh/user"
  install -m 600 "$BOX/ssh/user.pub" "$BOX/ssh/authorized"
  cat >"$BOX/etc/sshd_config" <<E
Port $SSH
ListenAddress 127.0.0.1
HostKey $BOX/ssh/host
PidFile $BOX/run/sshd.pid
AuthorizedKeysFile $BOX/ssh/authorized
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
PermitRootLogin prohibit-password
MaxSessions 100
MaxStartups 100:30:200
UseDNS no
PrintMotd no
SetEnv SLURM_CONF=$SLURM_CONF LANG=C.UTF-8
Subsystem sftp internal-sftp
E
  mkdir -p -m 700 "$BOX/home/.ssh"
  cat >"$BOX/home/.ssh/config" <<E
Host box
  HostName 127.0.0.1
  Port $SSH
  User $(id -un)
  IdentityFile $BOX/ssh/user
  IdentitiesOnly yes
  UserKnownHostsFile $BOX/home/.ssh/known_hosts
  ConnectTimeout 10
  ServerAliveInterval 15
E
  echo "[127.0.0.1]:$SSH $(cut -d' ' -f1,2 "$BOX/ssh/host.pub")" >"$BOX/home/.ssh/known_hosts"
}

write_databases() {
  printf '%s\n' 'consumer_timeout = 31622400000' "listeners.tcp.1 = 127.0.0.1:$RABBITMQ" 'loopback_users.guest = true' \
    'vm_memory_high_watermark.absolute = 512MB' 'disk_free_limit.absolute = 50MB' >"$BOX/etc/rabbitmq.conf"
  echo '[].' >"$BOX/etc/enabled_plugins"
  install -d -m 700 -o postgres -g postgres "$BOX/postgres"
  echo box >"$BOX/run/password"
  as_postgres "$(postgres_program initdb)" -D "$BOX/postgres" -U box --pwfile="$BOX/run/password" -A scram-sha-256 \
    -E UTF8 --locale=C.UTF-8 >"$BOX/log/initdb.log" 2>&1
  cat >>"$BOX/postgres/postgresql.conf" <<E
port = $POSTGRES
listen_addresses = '127.0.0.1'
unix_socket_directories = ''
fsync = off
full_page_writes = off
synchronous_commit = off
max_connections = 200
E
}

setup() {
  [ -e "$BOX/.set-up" ] && return
  umask 022
  mkdir -p "$BOX"/{etc,log,run,home,spool/slurmctld,spool/slurmd,ssh,rabbitmq,work}
  chmod 1777 "$BOX/run"
  install -d -m 700 "$BOX/munge"
  (umask 077 && head -c 1024 /dev/urandom >"$BOX/munge/key")
  write_slurm
  write_ssh
  write_databases
  touch "$BOX/.set-up"
}

up() {
  pid "$1" >/dev/null && return
  case $1 in
    munged) munged -f --key-file="$BOX/munge/key" --socket="$BOX/run/munge.socket" --pid-file="$BOX/run/munged.pid" \
      --log-file="$BOX/log/munged.log" --seed-file="$BOX/munge/seed" --num-threads=2 ;;
    postgres)
      as_postgres "$(postgres_program pg_ctl)" -D "$BOX/postgres" -l "$BOX/postgres/server.log" -W start >/dev/null
      wait_for 30 listens "$POSTGRES"
      ;;
    rabbitmq)
      rabbit setsid /usr/lib/rabbitmq/bin/rabbitmq-server >"$BOX/log/rabbitmq.out" 2>&1 </dev/null &
      wait_for 90 listens "$RABBITMQ"
      ;;
    sshd)
      mkdir -p -m 755 /run/sshd
      /usr/sbin/sshd -f "$BOX/etc/sshd_config" -E "$BOX/log/sshd.log"
      wait_for 10 listens "$SSH"
      ;;
    mariadb)
      setsid mariadbd --defaults-file="$BOX/etc/my.cnf" >/dev/null 2>&1 </dev/null &
      wait_for 30 mariadb-admin -S "$BOX/run/mariadb.sock" -uroot ping
      sql -e "CREATE DATABASE IF NOT EXISTS slurm"
      for host in localhost 127.0.0.1; do
        sql -e "CREATE USER IF NOT EXISTS slurm@'$host' IDENTIFIED BY 'box'; GRANT ALL ON slurm.* TO slurm@'$host'"
      done
      ;;
    slurmdbd)
      MYSQL_UNIX_PORT="$BOX/run/mariadb.sock" slurmdbd
      wait_for 30 listens "$SLURMDBD"
      ;;
    slurmctld)
      slurmctld
      wait_for 30 listens "$SLURMCTLD"
      ;;
    slurmd)
      slurmd -N "$NODE"
      wait_for 60 idle
      ;;
    *) fail "No service $1: $ORDER" ;;
  esac
}

# Without mercy: what a power cut does to one service and what it has begun; jobs of slurmd go on.
strike() {
  local id
  id=$(pid "$1") || return 0
  [ "$1" != sshd ] && [ "$1" != postgres ] || pkill -KILL -P "$id" || true
  kill -KILL "$id" 2>/dev/null || true
  wait_for 20 gone "$id"
}

down() {
  local id
  id=$(pid "$1") || return 0
  case $1 in
    postgres) kill -INT "$id" ;; # fast: it ends its clients
    sshd) pkill -TERM -P "$id" || true; kill -TERM "$id" ;;
    *) kill -TERM "$id" ;;
  esac
  wait_for 60 gone "$id" || kill -KILL "$id"
}

stop() {
  timeout 10 scancel --full -u "$(id -un)" 2>/dev/null || true
  local backwards=''
  for service in $ORDER; do backwards="$service $backwards"; done
  for service in $backwards; do down "$service"; done
  rabbit "$(ls /usr/lib/erlang/erts-*/bin/epmd | tail -1)" -port "$EPMD" -kill >/dev/null 2>&1 || true
}

status() {
  for service in $ORDER; do echo "$service $(pid "$service" || echo down)"; done
  pid slurmctld >/dev/null && timeout 5 sinfo || true
}

case ${1:-} in
  start)
    [ "$(id -u)" = 0 ] || fail 'The box needs root: its daemons change users.'
    install_packages
    setup
    for service in $ORDER; do up "$service"; done
    status
    ;;
  stop) stop ;;
  status) status ;;
  up) up "$2" ;;
  kill) strike "$2" ;;
  purge)
    # Not `rabbitmqctl -q list_queues`: its errors must be seen.
    rabbit /usr/lib/rabbitmq/bin/rabbitmqctl list_queues --no-table-headers --silent name | grep 'process\.queue' \
      | while read -r queue; do rabbit /usr/lib/rabbitmq/bin/rabbitmqctl purge_queue "$queue"; done
    ;;
  env) printf 'export BOX=%q HOME=%q SLURM_CONF=%q\n' "$BOX" "$BOX/home" "$SLURM_CONF" ;;
  *) fail "usage: $0 start | stop | status | up NAME | kill NAME | purge | env" ;;
esac
