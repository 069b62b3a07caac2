#!/usr/bin/python3
"""No Trivy, but a stand-in for it: Trivy cannot be had where these tests run.

It takes Trivy's options, and writes a report in Trivy's documented form about the image that it is asked for: one
critical vulnerability in version 2.0.0, none in the others.
"""

import json
import sys
from pathlib import Path

options, image = sys.argv[1:-1], sys.argv[-1]
if options[0] != "image" or options[options.index("--format") + 1] != "json":
    sys.exit(f"unknown: {options}")
if not image.startswith("registry.example.test/"):
    sys.exit(f"FATAL\tunable to find the image {image}")
found = {
    "VulnerabilityID": "CVE-2026-1111",
    "PkgName": "libssl3t64",
    "InstalledVersion": "3.5.1-1",
    "FixedVersion": "3.5.1-1+deb13u1",
    "Severity": "CRITICAL",
}
result = {"Target": f"{image} (debian 13.2)", "Class": "os-pkgs", "Type": "debian"}
if image.endswith(":2.0.0"):
    result["Vulnerabilities"] = [found]
report = {"SchemaVersion": 2, "ArtifactName": image, "ArtifactType": "container_image", "Results": [result]}
Path(options[options.index("--output") + 1]).write_text(json.dumps(report))
