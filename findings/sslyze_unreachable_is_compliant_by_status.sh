#!/usr/bin/env bash
# sslyze 6.3.1 with --mozilla_config, the mode that is made for pipelines, ends with 0 when the server cannot be reached: there was no scan, so
# nothing was found that is not compliant. The verdict stands in no JSON either: only the text on standard output has it, and then has none.
# Seen: status 0, "Server rejected the connection; discarding scan", scan_status ERROR_NO_CONNECTIVITY, no word of compliance in both.
set -euo pipefail
dir=$(mktemp -d); trap 'rm -rf "$dir"' EXIT
cd "$dir"
python3 -m venv env && env/bin/pip install -q sslyze==6.3.1
rc=0
env/bin/sslyze --mozilla_config=intermediate --json_out=report.json 127.0.0.1:9 > said 2>&1 || rc=$?
status=$(python3 -c 'import json; print(json.load(open("report.json"))["server_scan_results"][0]["scan_status"])')
words=$(cat said report.json | grep -ci complian || true)
echo "status $rc, scan_status $status, $words lines speak of compliance"
[[ $rc == 0 && $status == ERROR_NO_CONNECTIVITY && $words == 0 ]]
