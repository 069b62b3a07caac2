#!/usr/bin/env bash
# Makes sure that a Docker engine answers: installs and starts it when it is missing and we are root.
set -euo pipefail
log=/var/log/slipway-dockerd.log

answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
need_root() {
  [ "$(id -u)" = 0 ] && return
  echo "No Docker engine answers and this user may not start one: $1, then run make again." >&2
  exit 1
}
install_engine() {
  need_root "install Docker (on Debian: 'sudo apt-get install docker.io')"
  echo "── installing the Docker engine from the distribution (about 20 seconds)"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq docker.io iptables >/dev/null
}
install_mmdebstrap() { # builds the base image where no image registry answers
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
  echo "── installing mmdebstrap"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq mmdebstrap >/dev/null
}
start_engine() {
  need_root "start Docker or join the group 'docker'"
  if [ -d /run/systemd/system ]; then
    systemctl start docker
  else
    echo "── starting dockerd (its log: $log)"
    setsid dockerd >"$log" 2>&1 </dev/null &
  fi
  for _ in $(seq 60); do answers && return; sleep 0.5; done
  echo "dockerd did not answer within 30 seconds; the end of $log says why:" >&2
  tail -n 15 "$log" >&2 || true
  exit 1
}

answers || command -v dockerd >/dev/null || install_engine
answers || start_engine
command -v mmdebstrap >/dev/null || install_mmdebstrap
