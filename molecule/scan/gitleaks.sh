#!/bin/bash
# The real gitleaks, for a controller whose distribution does not package it: it runs in the scenario's container, on a copy of
# the directory at the same path, and the report comes back.
set -euo pipefail
container=slipway-scan-monitor1
arguments=("$@")
while [ $# -gt 0 ]; do
  case $1 in
    --source) source=$2 ;;
    --report-path) report=$2 ;;
  esac
  shift
done
docker exec "$container" mkdir -p "$source" "$(dirname "$report")"
tar --create --directory "$source" . | docker exec --interactive "$container" tar --extract --directory "$source"
code=0
docker exec "$container" gitleaks "${arguments[@]}" || code=$?
place=$(dirname "$report")
docker exec "$container" tar --create --directory "$place" "$(basename "$report")" | tar --extract --directory "$place"
docker exec "$container" rm -rf "$source" "$place"
exit "$code"
