#!/usr/bin/env bash
# Puts uv of the given version into .cache/uv, with the system's own Python.
set -euo pipefail
version=$1
cd "$(dirname "$0")/.."

if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
  echo "Slipway's controller needs Python 3.11 or newer; 'python3' here is: $(python3 --version 2>&1 || echo missing)." >&2
  exit 1
fi
if ! python3 -c 'import ensurepip' 2>/dev/null; then
  [ "$(id -u)" = 0 ] || { echo "python3-venv is missing: run 'sudo apt-get install python3-venv', then again." >&2; exit 1; }
  echo "── installing python3-venv"
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
fi
python3 -m venv .cache/uv
.cache/uv/bin/python -m pip install --quiet --disable-pip-version-check "uv==$version"
