"""A server that speaks AWX 24.6.1's API, as far as its schema and sources say what a configuration meets.

What bites is here on purpose: ids instead of names, lists in pages, filters by field with 400 for unknown ones, objects
unique by name and organization, `extra_vars` as text, read-only fields passed over, associations that answer 204, rules
that AWX does not take, playbooks that a project has only after its update, and an update that installs no requirements
while its organization has no Galaxy credential.
"""

from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

TOKEN = "a-token-of-the-test"
COMMON = {"id", "name", "description", "created", "modified", "type", "url", "related"}
# By kind: fields that may be written, those that are needed, and what is unique together.
KINDS: dict[str, dict[str, Any]] = {
    "organizations": {"write": {"max_hosts", "default_environment"}, "unique": ("name",)},
    "credential_types": {"write": {"kind", "inputs", "injectors"}, "need": {"kind"}, "unique": ("name", "kind")},
    "credentials": {"write": {"organization", "credential_type", "inputs"}, "unique": ("name",)},
    "execution_environments": {
        "write": {"organization", "image", "pull", "credential"},
        "need": {"image"},
        "unique": ("name",),
    },
    "projects": {
        "write": {
            "organization",
            "scm_type",
            "scm_url",
            "scm_branch",
            "scm_update_on_launch",
            "scm_clean",
            "allow_override",
            "credential",
            "default_environment",
        },
        "unique": ("name", "organization"),
    },
    "inventories": {
        "write": {"organization", "variables"},
        "need": {"organization"},
        "unique": ("name", "organization"),
    },
    "inventory_sources": {
        "write": {
            "source",
            "source_project",
            "source_path",
            "overwrite",
            "overwrite_vars",
            "update_on_launch",
            "inventory",
        },
        "need": {"inventory", "source"},
        "unique": ("name", "inventory"),
    },
    "notification_templates": {
        "write": {"organization", "notification_type", "notification_configuration", "messages"},
        "need": {"organization", "notification_type", "notification_configuration"},
        "unique": ("name", "organization"),
    },
    "job_templates": {
        "write": {
            "job_type",
            "inventory",
            "project",
            "playbook",
            "limit",
            "extra_vars",
            "timeout",
            "survey_enabled",
            "diff_mode",
            "allow_simultaneous",
            "ask_limit_on_launch",
            "ask_variables_on_launch",
            "execution_environment",
            "forks",
            "verbosity",
        },
        "need": {"project", "playbook"},
        "unique": ("name", "organization"),
    },
    "workflow_job_templates": {
        "write": {"organization", "survey_enabled", "allow_simultaneous", "extra_vars", "limit", "inventory"},
        "unique": ("name", "organization"),
    },
    "workflow_job_template_nodes": {
        "write": {
            "workflow_job_template",
            "identifier",
            "unified_job_template",
            "all_parents_must_converge",
            "extra_data",
        },
        "need": {"workflow_job_template"},
        "unique": ("identifier", "workflow_job_template"),
        "nameless": True,
    },
    "workflow_approval_templates": {"write": {"timeout"}, "unique": ()},
    "schedules": {
        "write": {"rrule", "enabled", "unified_job_template", "extra_data"},
        "need": {"rrule", "unified_job_template"},
        "unique": ("name", "unified_job_template"),
    },
}
TEMPLATE = "unified_job_template"
TYPES = {"job_templates": "job", "workflow_job_templates": "workflow_job", "projects": "project_update"}
CONFIGURATIONS = {
    "webhook": {"url", "http_method", "disable_ssl_verification", "username", "password", "headers"},
    "email": {"host", "port", "username", "password", "use_tls", "use_ssl", "sender", "recipients", "timeout"},
}
DEFAULTS: dict[str, dict[str, Any]] = {
    "job_templates": {
        "limit": "",
        "extra_vars": "",
        "timeout": 0,
        "verbosity": 0,
        "forks": 0,
        "job_type": "run",
        "status": "never updated",
    },
    "workflow_job_templates": {"extra_vars": "", "limit": None},
    "workflow_job_template_nodes": {"unified_job_template": None, "extra_data": {}},
    "projects": {"status": "pending", "scm_branch": "", "credential": None},
    "schedules": {"enabled": True, "extra_data": {}},
    "inventories": {"variables": "", "kind": ""},
    "credential_types": {"inputs": {}, "injectors": {}},
}
LINKS = {
    "galaxy_credentials",
    "credentials",
    "success_nodes",
    "failure_nodes",
    "always_nodes",
    "labels",
    "instance_groups",
    "notification_templates_error",
    "notification_templates_success",
    "notification_templates_started",
    "notification_templates_approvals",
}


class Refusal(Exception):
    def __init__(self, code: int, body: Any) -> None:
        super().__init__(code)
        self.code, self.body = code, body


class Awx:
    """Its state. `playbooks` are the files of the project; `requests` all that wrote."""

    def __init__(self, playbooks: list[str], page: int = 200) -> None:
        self.playbooks, self.page = playbooks, page
        self.objects: dict[str, dict[int, dict[str, Any]]] = {kind: {} for kind in KINDS}
        self.links: dict[tuple[str, int, str], list[int]] = {}
        self.surveys: dict[tuple[str, int], dict[str, Any]] = {}
        self.requests: list[str] = []
        self.installed: dict[int, bool] = {}  # by project, whether its requirements were
        self._last = 0
        self.create("credentials", {"name": "Ansible Galaxy"})

    def create(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        self._judge(kind, given, {})
        self._last += 1
        body = {"description": "", **DEFAULTS.get(kind, {}), **self._writable(kind, given), "id": self._last}
        if kind == "job_templates":
            body["organization"] = self.objects["projects"][given["project"]].get("organization")
        self._unique(kind, body)
        self.objects[kind][self._last] = body
        return body

    def change(self, kind: str, identifier: int, given: dict[str, Any]) -> dict[str, Any]:
        present = self.objects[kind][identifier]
        self._judge(kind, {**present, **given}, present)
        present.update(self._writable(kind, given))
        return present

    def _writable(self, kind: str, given: dict[str, Any]) -> dict[str, Any]:
        """The others are read-only or unknown: the REST framework passes over them without a word."""
        return {name: value for name, value in given.items() if name in KINDS[kind]["write"] | {"name", "description"}}

    def _unique(self, kind: str, body: dict[str, Any]) -> None:
        fields = KINDS[kind]["unique"]
        for other in self.objects[kind].values():
            if fields and all(other.get(name) == body.get(name) for name in fields):
                raise Refusal(400, {"__all__": [f"{kind} with this {' and '.join(fields)} already exists."]})

    def _judge(self, kind: str, given: dict[str, Any], present: dict[str, Any]) -> None:
        needed = KINDS[kind].get("need", set()) | (set() if KINDS[kind].get("nameless") else {"name"})
        if missing := [name for name in sorted(needed) if given.get(name) in (None, "")]:
            raise Refusal(400, {name: ["This field is required."] for name in missing})
        for name in ("organization", "inventory", "project", "source_project", "execution_environment"):
            target = {"project": "projects", "source_project": "projects", "inventory": "inventories"}.get(
                name, f"{name}s"
            )
            if given.get(name) is not None and given[name] not in self.objects[target]:
                raise Refusal(400, {name: [f'Invalid pk "{given[name]}" - object does not exist.']})
        if kind == "job_templates":
            self._template(given)
        if kind == "credential_types":
            self._credential_type(given)
        if kind == "schedules" and (problem := rrule_problem(given["rrule"])):
            raise Refusal(400, {"rrule": [problem]})
        if kind == "notification_templates":
            wanted = CONFIGURATIONS[given["notification_type"]]
            if missing := sorted(wanted - given["notification_configuration"].keys()):
                raise Refusal(400, [f"Missing required fields for Notification Configuration: {missing}."])

    def _credential_type(self, given: dict[str, Any]) -> None:
        if given["kind"] not in ("cloud", "net"):
            raise Refusal(400, {"kind": [f'"{given["kind"]}" is not a valid choice.']})
        fields = {field["id"] for field in given.get("inputs", {}).get("fields", [])}
        for names in given.get("injectors", {}).values():
            for name, text in names.items():
                if undefined := set(re.findall(r"{{ *(\w+) *}}", text)) - fields:
                    raise Refusal(400, {"injectors": [f"{name} uses an undefined field ({', '.join(undefined)})"]})

    def _template(self, given: dict[str, Any]) -> None:
        project = self.objects["projects"][given["project"]]
        if project["status"] != "successful" or given["playbook"] not in self.playbooks:
            raise Refusal(400, {"playbook": ["Playbook not found for project."]})
        if not isinstance(given.get("extra_vars", ""), str):
            raise Refusal(400, {"extra_vars": ["Not a valid string."]})

    def shown(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        """As an answer has it; secrets of notices are not told."""
        shown = {**body, "type": kind.removesuffix("s"), "url": f"/api/v2/{kind}/{body['id']}/"}
        if kind == "notification_templates":
            configuration = dict(body["notification_configuration"])
            if configuration.get("password"):
                configuration["password"] = "$encrypted$"
            shown["notification_configuration"] = configuration
        if kind == "schedules":
            (of,) = [(kind, of) for kind in TYPES for of in self.objects[kind].values() if of["id"] == body[TEMPLATE]]
            summary = {"id": of[1]["id"], "name": of[1]["name"], "unified_job_type": TYPES[of[0]]}
            shown["summary_fields"] = {TEMPLATE: summary}
        return shown

    def list(self, kind: str, query: dict[str, str]) -> list[dict[str, Any]]:
        known = COMMON | KINDS[kind]["write"] | {"status"} | ({"organization"} if kind == "job_templates" else set())
        found = list(self.objects[kind].values())
        if kind == "schedules" and (wanted := query.pop(f"{TEMPLATE}__organization", "")):
            of = {of["id"] for kind in TYPES for of in self.objects[kind].values() if str(of["organization"]) == wanted}
            found = [one for one in found if one[TEMPLATE] in of]
        for name, text in query.items():
            if name not in known:
                raise Refusal(400, {"detail": f"{kind} has no field named '{name}'"})
            found = [one for one in found if str(one.get(name)) == text]
        return found

    def read(self, kind: str, identifier: int) -> dict[str, Any]:
        body = self.objects[kind].get(identifier)
        if body is None:
            raise Refusal(404, {"detail": "Not found."})
        if kind == "projects" and body["status"] == "pending":  # its update runs, and is over when somebody asks again
            body["status"] = "running"
        elif kind == "projects" and body["status"] == "running":
            body["status"] = "successful"
            self.installed[identifier] = bool(
                self.links.get(("organizations", body["organization"], "galaxy_credentials"))
            )
        return body

    def associate(self, kind: str, identifier: int, name: str, given: dict[str, Any]) -> None:
        linked = self.links.setdefault((kind, identifier, name), [])
        if name == "credentials" and not given.get("disassociate"):
            kinds = [self.objects["credentials"][one].get("credential_type") for one in (*linked, given["id"])]
            if kinds[-1] is not None and kinds[-1] in kinds[:-1]:
                raise Refusal(400, {"error": "Cannot assign multiple Machine credentials."})
        if given.get("disassociate"):
            linked.remove(given["id"])
        elif given["id"] not in linked:
            linked.append(given["id"])

    def survey(self, kind: str, identifier: int, spec: dict[str, Any]) -> None:
        for name in ("name", "description", "spec"):
            if name not in spec:
                raise Refusal(400, {"error": f"'{name}' missing from survey spec."})
        if not spec["spec"]:
            raise Refusal(400, {"error": "'spec' doesn't contain any items."})
        for number, one in enumerate(spec["spec"]):
            for name in ("type", "question_name", "variable", "required"):
                if name not in one:
                    raise Refusal(400, {"error": f"'{name}' missing from survey question {number}"})
            if one["type"] == "multiplechoice" and not one.get("choices"):
                raise Refusal(400, {"error": f"Survey question {number} of type {one['type']} must specify choices."})
        self.surveys[(kind, identifier)] = spec


def rrule_problem(rule: str) -> str:
    """Why AWX' serializer refuses a rule; its own words."""
    rules = re.findall(r"(?:EX)?RULE:\S+", rule)
    if not re.findall(r"DTSTART(?:;TZID=[^:]+)?:\d{8}T\d{6}Z?", rule):
        return "Valid DTSTART required in rrule. Value should start with: DTSTART:YYYYMMDDTHHMMSSZ"
    if re.search(r"DTSTART:\d{8}T\d{6}(?!Z)", rule):
        return "DTSTART cannot be a naive datetime.  Specify ;TZINFO= or YYYYMMDDTHHMMSSZZ."
    if not rules:
        return "One or more rule required in rrule."
    for one in rules:
        if "INTERVAL" not in one:
            return f"INTERVAL required in rrule: {one}"
        if "SECONDLY" in one:
            return f"SECONDLY is not supported: {one}"
        if re.search(r"BYDAY=[+-]?\d", one):
            return f"BYDAY with numeric prefix not supported: {one}"
    return ""


class _Handler(BaseHTTPRequestHandler):
    awx: Awx

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PATCH(self) -> None:
        self._answer()

    def do_DELETE(self) -> None:
        self._answer()

    def log_message(self, *args: Any) -> None:
        pass

    def _answer(self) -> None:
        try:
            code, body = self._routed()
        except Refusal as refusal:
            code, body = refusal.code, refusal.body
        data = b"" if body is None else json.dumps(body).encode()
        self.send_response(code)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _routed(self) -> tuple[int, Any]:
        parts = urlsplit(self.path)
        words = parts.path.strip("/").split("/")[2:]
        length = int(self.headers.get("Content-Length") or 0)
        given = json.loads(self.rfile.read(length)) if length else {}
        if words == ["ping"]:
            return 200, {"version": "24.6.1"}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            raise Refusal(
                401,
                {"detail": "Authentication credentials were not provided."},
            )
        if self.command != "GET":
            self.awx.requests.append(f"{self.command} {parts.path}")
        if words[0] not in self.awx.objects:
            raise Refusal(404, {"detail": "The requested resource could not be found."})
        if len(words) == 1:
            return self._of_list(words[0], dict(parse_qsl(parts.query)), given)
        return self._of_one(words[0], int(words[1]), words[2:], given)

    def _of_list(self, kind: str, query: dict[str, str], given: dict[str, Any]) -> tuple[int, Any]:
        if self.command == "POST":
            return 201, self.awx.shown(kind, self.awx.create(kind, given))
        size = min(int(query.pop("page_size", 25)), self.awx.page)
        page = int(query.pop("page", 1))
        query.pop("order_by", None)
        found = [self.awx.shown(kind, one) for one in self.awx.list(kind, query)]
        more = len(found) > page * size
        words = "&".join(f"{name}={value}" for name, value in {**query, "page_size": size, "page": page + 1}.items())
        following = f"/api/v2/{kind}/?{words}" if more else None
        return 200, {
            "count": len(found),
            "next": following,
            "previous": None,
            "results": found[(page - 1) * size : page * size],
        }

    def _of_one(self, kind: str, identifier: int, rest: list[str], given: dict[str, Any]) -> tuple[int, Any]:
        body = self.awx.read(kind, identifier)
        if not rest:
            if self.command == "DELETE":
                del self.awx.objects[kind][identifier]
                return 204, None
            if self.command == "PATCH":
                body = self.awx.change(kind, identifier, given)
            return 200, self.awx.shown(kind, body)
        (name,) = rest
        if name == "survey_spec":
            if self.command == "POST":
                self.awx.survey(kind, identifier, given)
                return 200, None
            if self.command == "DELETE":
                self.awx.surveys.pop((kind, identifier), None)
                return 200, None
            return 200, self.awx.surveys.get((kind, identifier), {})
        if name == "create_approval_template":
            made = self.awx.create("workflow_approval_templates", given)
            body["unified_job_template"] = made["id"]
            return 201, made
        if name not in LINKS:
            raise Refusal(404, {"detail": "The requested resource could not be found."})
        if self.command == "POST":
            self.awx.associate(kind, identifier, name, given)
            return 204, None
        everything = {one: body for objects in self.awx.objects.values() for one, body in objects.items()}
        linked = [everything[one] for one in self.awx.links.get((kind, identifier, name), [])]
        return 200, {"count": len(linked), "next": None, "previous": None, "results": linked}


class Server:
    """The server on a port of this machine, while the context lasts."""

    def __init__(self, awx: Awx) -> None:
        handler = type("Handler", (_Handler,), {"awx": awx})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Server:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
