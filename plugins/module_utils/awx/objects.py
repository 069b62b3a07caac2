# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The list of jobs as AWX's objects, in the order in which they need each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.slipway.ops.plugins.module_utils.awx import credential_types
from ansible_collections.slipway.ops.plugins.module_utils.awx.sync import MADE, Ref, Wanted
from ansible_collections.slipway.ops.plugins.module_utils.jobs.model import Job, Question

ENDINGS = {"failure": "notification_templates_error", "success": "notification_templates_success"}
APPROVALS = "notification_templates_approvals"
SURVEYS = {"text": "text", "integer": "integer", "choice": "multiplechoice", "password": "password"}
BODY = '{"text": "{{ job_friendly_name }} {{ job.name }} #{{ job.id }}: {{ job.status }}. {{ url }}"}'
MAIL = "{{ job_friendly_name }} {{ job.name }} #{{ job.id }}: {{ job.status }}"
# AWX gives a name and a place for an approval, and no job. It tells of each of these.
APPROVAL = {
    "running": "{{ approval_node_name }}: somebody's approval is waited for",
    "approved": "{{ approval_node_name }}: approved",
    "timed_out": "{{ approval_node_name }}: nobody approved it in time",
    "denied": "{{ approval_node_name }}: denied",
}


class SettingsError(ValueError):
    """A setting of AWX that cannot be meant."""


@dataclass(frozen=True)
class Place:
    """Where the jobs are in AWX. All of one organization."""

    organization: str
    project: str
    scm_url: str
    scm_branch: str
    inventory: str
    inventory_path: str
    execution_environment: str
    image: str
    galaxy_credentials: tuple[str, ...]
    credentials: tuple[str, ...] = ()
    scm_credential: str = ""
    notices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    credential_types: Sequence[Mapping[str, Any]] = ()

    def __post_init__(self) -> None:
        if not self.galaxy_credentials:
            raise SettingsError(
                "galaxy_credentials is empty: AWX then passes over requirements.yml without a word, and each job fails"
                " with 'role not found'. 'Ansible Galaxy' is AWX's own."
            )


def objects(place: Place, jobs: Sequence[Job]) -> Iterator[Wanted]:
    """Everything that the jobs need, and the jobs."""
    organization = Ref("organizations", place.organization)
    within = {"organization": organization}
    # Before the credentials: who is told that one is missing finds its type there.
    yield from credential_types.wanted(place.credential_types)
    for name in sorted({*place.galaxy_credentials, *place.credentials, place.scm_credential} - {""}):
        yield Wanted("credentials", name, {"name": name}, ours=False)
    galaxy = [Ref("credentials", name) for name in place.galaxy_credentials]
    yield Wanted("organizations", place.organization, {"name": place.organization}, {}, {"galaxy_credentials": galaxy})
    if place.image:
        named = {"name": place.execution_environment}
        yield Wanted(
            "execution_environments",
            place.execution_environment,
            named,
            {**within, "image": place.image, "pull": "missing"},
        )
    yield _project(place, within)
    yield from _inventory(place, within)
    for name, notice in place.notices.items():
        yield Wanted("notification_templates", name, {"name": name, **within}, _notice(notice))
    for job in jobs:
        yield _template(place, job)
        if job.approval:
            yield from _workflow(place, job)
        if job.schedule:
            yield _schedule(job)


def templates(jobs: Sequence[Job]) -> dict[str, list[str]]:
    """Names of what the jobs are in AWX, by kind."""
    return {
        "job_templates": [job.name for job in jobs],
        "workflow_job_templates": [_approved(job) for job in jobs if job.approval],
    }


def schedules(jobs: Sequence[Job]) -> set[tuple[str, str]]:
    """Each template that a schedule of a job may be of, and what it is called."""
    return {(template, job.name) for job in jobs for template in (job.name, _approved(job))}


def _project(place: Place, within: Mapping[str, Any]) -> Wanted:
    fields: dict[str, Any] = {"scm_type": "git", "scm_url": place.scm_url, "scm_branch": place.scm_branch}
    fields |= {"scm_update_on_launch": True, "scm_clean": True, "allow_override": False}
    if place.scm_credential:
        fields["credential"] = Ref("credentials", place.scm_credential)
    return Wanted("projects", place.project, {"name": place.project, **within}, fields)


def _inventory(place: Place, within: Mapping[str, Any]) -> Iterator[Wanted]:
    inventory = Ref("inventories", place.inventory)
    yield Wanted("inventories", place.inventory, {"name": place.inventory, **within})
    fields = {"source": "scm", "source_project": Ref("projects", place.project), "source_path": place.inventory_path}
    # What left the file leaves AWX too, and each job sees the file as it is.
    fields |= {"overwrite": True, "overwrite_vars": True, "update_on_launch": True}
    yield Wanted("inventory_sources", place.project, {"name": place.project, "inventory": inventory}, fields)


def _notice(notice: Mapping[str, Any]) -> dict[str, Any]:
    if notice["type"] == "webhook":
        configuration: dict[str, Any] = {"url": notice["url"], "http_method": "POST", "headers": {}}
        configuration |= {"disable_ssl_verification": False, "username": "", "password": ""}
        message: dict[str, Any] = {"message": None, "body": BODY}
        approval: dict[str, Any] = {
            state: {"message": None, "body": f'{{"text": "{text}. {{{{ workflow_url }}}}"}}'}
            for state, text in APPROVAL.items()
        }
    else:
        configuration = {"host": notice["server"], "port": notice["port"], "sender": notice["sender"]}
        configuration |= {"recipients": list(notice["to"]), "username": "", "password": "", "timeout": 30}
        configuration |= {"use_tls": False, "use_ssl": False}
        message = {"message": MAIL, "body": "{{ url }}"}
        approval = {state: {"message": text, "body": "{{ workflow_url }}"} for state, text in APPROVAL.items()}
    messages = {"started": None, "success": message, "error": message, "workflow_approval": approval}
    kind = "webhook" if notice["type"] == "webhook" else "email"
    return {"notification_type": kind, "notification_configuration": configuration, "messages": messages}


def _template(place: Place, job: Job) -> Wanted:
    fields: dict[str, Any] = {
        "description": job.description,
        "job_type": "check" if job.check else "run",
        "diff_mode": job.check,
        "inventory": Ref("inventories", place.inventory),
        "project": Ref("projects", place.project),
        "playbook": job.playbook,
        "limit": job.limit,
        "extra_vars": dict(job.variables),
        "timeout": job.timeout,
        "survey_enabled": bool(job.survey),
        "allow_simultaneous": False,
        "ask_limit_on_launch": True,
        "ask_variables_on_launch": False,
    }
    if place.image:
        fields["execution_environment"] = Ref("execution_environments", place.execution_environment)
    links: dict[str, list[Ref]] = {"credentials": [Ref("credentials", name) for name in place.credentials]}
    if not job.approval:
        links |= _told(job)
    key = {"name": job.name, "organization": Ref("organizations", place.organization)}
    # The organization is the project's: a filter finds by it, and nobody may set it.
    return Wanted("job_templates", job.name, key, fields, links, survey=_survey(job))


def _told(job: Job) -> dict[str, list[Ref]]:
    return {link: _notices(job, ending) for ending, link in ENDINGS.items()}


def _notices(job: Job, occasion: str) -> list[Ref]:
    return [Ref("notification_templates", name) for name in job.notify.get(occasion, ())]


def _survey(job: Job) -> dict[str, Any]:
    spec = [_question(question) for question in job.survey]
    return {"name": "", "description": "", "spec": spec} if spec else {"spec": []}


def _question(question: Question) -> dict[str, Any]:
    default: Any = question.default
    if question.type == "integer" and default:
        default = int(default)
    return {
        "question_name": question.question,
        "question_description": "",
        "variable": question.variable,
        "type": SURVEYS[question.type],
        "required": question.required,
        "choices": list(question.choices) if question.choices else "",
        "default": default,
        "min": None if question.type in ("integer", "choice") else 0,
        "max": None if question.type in ("integer", "choice") else 1024,
    }


def _approved(job: Job) -> str:
    return f"{job.name}-approved"


def _workflow(place: Place, job: Job) -> Iterator[Wanted]:
    """Approve, then the job. Whoever starts the job by itself may do it without: AWX's rights say who that is."""
    name = _approved(job)
    key = {"name": name, "organization": Ref("organizations", place.organization)}
    fields = {"description": job.description, "survey_enabled": bool(job.survey), "allow_simultaneous": False}
    links = _told(job) | {APPROVALS: _notices(job, "approval")}
    yield Wanted("workflow_job_templates", name, key, fields, links, survey=_survey(job))
    workflow = Ref("workflow_job_templates", name)
    run = Wanted(
        "workflow_job_template_nodes",
        f"{name}/run",
        {"workflow_job_template": workflow, "identifier": "run"},
        {"unified_job_template": Ref("job_templates", job.name), "all_parents_must_converge": False},
    )
    yield run
    yield Wanted(
        "workflow_job_template_nodes",
        f"{name}/approve",
        {"workflow_job_template": workflow, "identifier": "approve"},
        links={"success_nodes": [Ref(run.kind, run.name)]},
        approval={"name": f"Approve {job.name}", "description": job.description, "timeout": job.approval},
    )


def _schedule(job: Job) -> Wanted:
    of = Ref("workflow_job_templates", _approved(job)) if job.approval else Ref("job_templates", job.name)
    assert job.schedule is not None  # noqa: S101 (the caller looked)
    fields = {"description": MADE, "rrule": job.schedule.rrule, "enabled": True}
    return Wanted("schedules", job.name, {"name": job.name, "unified_job_template": of}, fields)
