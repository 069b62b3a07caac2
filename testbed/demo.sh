#!/usr/bin/env bash
# The demo: six containers as hosts, provisioned, released to, broken, rolled back, backed up, restored, checked, attacked and reported on.
# Every step is a command an operator would run; it is printed before it runs.
set -euo pipefail
cd "$(dirname "$0")/.."
export ANSIBLE_INVENTORY=inventories/demo/hosts.yml ANSIBLE_FORCE_COLOR=${ANSIBLE_FORCE_COLOR:-$([ -t 1 ] && echo 1 || echo 0)}
started=$SECONDS
logs=.cache/demo
mkdir -p "$logs"

story=()
step() { # step <number> <title> <command…>: runs it, keeps its log, remembers its seconds
  local number=$1 title=$2 at=$SECONDS
  shift 2
  printf '\n━━ %s %s\n   $ %s\n' "$number" "$title" "$*"
  if ! "$@" 2>&1 | tee "$logs/$number.log"; then
    printf '\nThe demo stopped at step %s (%s); its log: %s/%s.log\n' "$number" "$title" "$logs" "$number" >&2
    exit 1
  fi
  story+=("$(printf '%5d s  %s' $((SECONDS - at)) "$title")")
}

must_fail() { # a release that must not get through: success is the failure
  if "$@"; then
    echo "This release should have been refused, and was not." >&2
    return 1
  fi
  echo "Refused, as it should be: the live release kept serving."
}

attacked() { # what gets through is an answer too (exit 2): the report says what
  local status=0
  "$@" || status=$?
  [ "$status" = 2 ] && echo "Something did not bounce; the lines above and the report say what." && return
  return "$status"
}

verdict() { # NO-GO (exit 2) is an answer too: the report says why
  local status=0
  "$@" || status=$?
  [ "$status" = 2 ] && echo "The verdict is NO-GO; the lines above and the report say why." && return
  return "$status"
}

step 1 "create six containers as hosts" ansible-playbook testbed/create.yml
step 2 "have the rules of the web application firewall" testbed/demo-rules.sh slipway-demo-edge1
step 3 "provision everything" ansible-playbook playbooks/site.yml
docker exec slipway-demo-edge1 cat /usr/local/share/ca-certificates/slipway-internal-ca.crt >inventories/demo/secrets/ca.crt
# A version stays what it is; these are what this checkout makes of them.
step 4 "publish the sample service's images" ansible-playbook playbooks/publish.yml -e @inventories/demo/images.yml -e publish_replace=true
step 5 "release 1.0.0" ansible-playbook playbooks/deploy.yml -e service=sample -e version=1.0.0
step 6 "back the database up" ansible-playbook playbooks/backup.yml -e type=full
step 7 "release 2.0.0 under load" ansible-playbook playbooks/deploy.yml -e service=sample -e version=2.0.0
step 8 "a broken 3.0.0 must not get through" must_fail ansible-playbook playbooks/deploy.yml -e service=sample -e version=3.0.0
step 9 "roll back under load" ansible-playbook playbooks/rollback.yml -e service=sample
step 10 "back up what changed" ansible-playbook playbooks/backup.yml -e type=incr
step 11 "verify every backup" ansible-playbook playbooks/backup.yml -e type=verify
step 12 "restore it beside the server, compare, measure" ansible-playbook playbooks/drill.yml
step 13 "all health checks" ansible-playbook playbooks/health.yml
step 14 "attack the edge" attacked ansible-playbook playbooks/attack.yml
step 15 "is it ready?" verdict ansible-playbook playbooks/readiness.yml

printf '\n━━ The demo in %d s\n' $((SECONDS - started))
printf '   %s\n' "${story[@]}"
cat <<'END'

   Look around
     the report        reports/readiness.html (open it in a browser)
     the service       curl --cacert inventories/demo/secrets/ca.crt --resolve app.demo.test:8443:127.0.0.1 https://app.demo.test:8443/version
     the database      docker exec slipway-demo-db1 runuser -u postgres -- psql sample -c 'SELECT count(*) FROM items'
     its backups       docker exec slipway-demo-backup1 slipway-backup status
     a host            docker exec -it slipway-demo-edge1 bash
     generated logins  inventories/demo/secrets/ (readable by you only)
     again             make demo   (changes only what is missing)
     remove it all     make demo-clean
END
