#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: health_check
short_description: Run a list of health checks side by side and measure each against its limit
version_added: 0.1.0
description:
  - Runs checks concurrently from the host it runs on and returns one result for each, in their order.
  - A failing check is tried again every O(interval) until it passes or its O(deadline) has come.
    The run ends by the longest deadline, whatever the servers do.
  - A bad answer is a result, never an exception. A definition that makes no sense is refused before anything is run,
    with every mistake named.
  - TLS certificates are always verified. Proxies of the environment are not used.
options:
  checks:
    description:
      - The checks. Each is a mapping with C(kind), the options of every kind, and the options of its kind. Limits are
        texts such as C(< 500 ms), C(>= 30 d), C(< 90 %), C(= 0); times are seconds or texts such as C(500ms) and
        C(1h30m); regular expressions are searched for, C(^) and C($) match at lines.
      - "B(every kind): C(name) tells checks of one kind apart in the result's id; C(id) (dotted; default
        C(area.kind.name)), C(area), C(subject) (default: what is asked, for kinds that look at the host itself
        O(subject)) and C(claim) go into the result; C(severity) C(warn) makes a failure a warning (default C(fail));
        C(deadline), C(interval) and C(timeout) stand in for those of the module."
      - "B(http): C(url); C(method) (V(GET)); C(headers) and C(body) to send; C(username) and C(password) for basic
        authentication; C(ca) (a file on the host, default the system's authorities); C(address) (host or host:port)
        to connect to instead of the URL's host, whose name stays in TLS and C(Host); C(redirects) to follow at most
        (V(0)); C(status) (V(200)), a list of them or classes such as C(2xx); C(contains) and C(matches) (regular
        expression) for the body; C(json), a mapping of paths such as C(checks.database.ok) or C(nodes[0].load) to a
        value or limit; C(response_headers), a mapping of names to regular expressions; C(latency), a limit (ms when
        it has no unit) on the C(percentile) (V(95)) of C(requests) (V(1)) sent one after another. C(timeout) is for
        each request. The first MiB of a body is looked at. Latency is measured beside the other checks: give exact
        ones a run of their own."
      - "B(tcp): C(host), C(port); C(latency), a limit on the time to connect."
      - "B(tls): C(host), C(port) (V(443)); C(server_name) and C(address) when they differ from C(host); C(ca); the
        chain and the name are verified; C(expires), a limit on what is left of the certificate's life, else two
        weeks of a long one and a sixth of a short one;
        C(minimum_protocol) (V(1.2) or V(1.3), default V(1.2)): a handshake with less must be refused."
      - "B(dns): C(host), resolved as the host's programs do; C(family) (V(any), V(ipv4), V(ipv6)); C(addresses) that
        must be among the answers; C(latency)."
      - "B(systemd): C(unit); C(active) (V(active)) and C(sub), a state or several; C(restarts), a limit on those made
        by systemd; C(missing) (V(fail), or V(skip)), what a unit means that is not on this host."
      - "B(container): C(container), a name or id, or C(labels), a mapping, with C(count) (V(>= 1)), a limit on how
        many run and are healthy; C(health_check) (V(false)) whether one without health check is a failure;
        C(restarts), a limit; C(socket) (V(/run/docker.sock)) of the Docker engine. One that was restarted three times
        or more, lastly within ten minutes, fails: it restarts for ever."
      - "B(release): C(service), its name in C(app_services); C(part): V(live) (the default), whether C(instances)
        (V(1)) of the release that the host's history says is live are healthy, V(workers), whether its workers run and
        none of another release does, V(bake), whether its hosts went back from the release by themselves, V(warm),
        whether a rollback would find the earlier release running, where the C(strategy) (V(blue_green)) keeps one;
        C(ready), a path that each instance must answer; C(root) (V(/srv/slipway)) and C(socket) (V(/run/docker.sock))."
      - "B(haproxy): whether every server that a pool sends requests to now is up, as the running HAProxy sees it;
        C(pool), all without it; C(socket) (V(/run/haproxy/admin.sock)), C(master_socket) (V(/run/haproxy-master.sock)),
        C(map) (V(/var/lib/slipway/haproxy/live.map)), as M(slipway.ops.pool_info) has them. A map
        file that is behind is a warning. Needs root."
      - "B(command): C(argv), a list, no shell; C(status) (V(0)); C(skip_status), one that means that it does not apply,
        for the reason that it says; C(unknown_status), one that means that it could not find out; C(matches), a regular
        expression for standard output."
      - "B(file): C(path), absolute, may be a pattern whose newest file counts; C(exists) (V(true)); C(age) and
        C(size), limits (s and By when they have no unit)."
      - "B(disk): C(path) (V(/)), or with C(others) (V(false)) every writable file system of the host but that one;
        C(used) (V(< 90 %)), C(free) (By when it has no unit) and C(inodes) (V(< 90 %)), limits, counted as C(df) does."
      - "B(backup): the backups that this host makes, or the one named C(of); C(engine) (V(postgresql)); C(age) of the
        newest, default the limit that its role was given; C(full_age), C(verified), C(drill), C(rto) and C(rpo), limits
        (s when they have no unit) on what M(slipway.ops.backup_info) tells. With C(proven) (V(false)) instead only that
        they were verified and drilled as often as the limits of their role ask."
      - "B(backed_up): whether each of C(paths), directories, is among the sources of this host's backups of files, as
        role C(restic) left them in C(description) (V(/etc/slipway/backup/files.json)). A pattern of what is left out
        counts when it names the path or what it is in."
      - "B(postgresql): C(host) (V(/var/run/postgresql), the socket; another host is reached over verified TLS), C(port)
        (V(5432)), C(database) (V(postgres)), C(username) (V(postgres)), C(password), C(ca)
        (V(/etc/ssl/certs/ca-certificates.crt)); C(query), read only, and C(limit) on the first value it gives, in
        C(unit) when that is another than the limit's; C(replication_lag), a limit (s when it has no unit) on how far
        this standby, or the slowest one of this primary, is behind, which a standby that is not connected never keeps;
        C(pool_use), a limit on connections in percent of C(max_connections); C(index_hits), on the percentage of
        index reads that memory served; C(mean_query_time) (ms when it has no unit), on the mean of what
        C(pg_stat_statements) counted for the database, or for all with V(postgres). Needs python3-psycopg2."
      - "B(patroni): the cluster of this host's member; C(members) (V(3)), how many there must be, one of which leads
        while all others stream on its timeline, one synchronously where that is asked for; C(lag), a limit (By when it
        has no unit) on the replica furthest behind. A pause and settings that wait for a restart are warnings. Needs
        root."
      - "B(pgbouncer): this host's pools; C(socket) (V(/run/pgbouncer)), C(port) (V(6432)), C(database), all without it;
        C(waiting), a limit on how many clients wait for a connection; C(waited) (s when it has no unit), on how long
        the first of them has; C(pool_use), on the connections in use of the fullest pool, in percent of its size. A
        paused database is a warning. Needs python3-psycopg2."
      - "B(prometheus): C(url) (V(http://127.0.0.1:9090)); C(query), an instant query; C(limit) that each series must
        keep to; C(unit) of the query's values when the limit has another; C(no_data) (V(unknown), V(fail) or V(pass))
        when no series comes back; C(username), C(password), C(ca), C(address) as for http."
      - "B(unmeasured): is V(unknown) for its C(reason). It stands for checks that could not be made, so that the others
        are measured all the same."
    type: list
    elements: dict
    required: true
  deadline:
    description:
      - How long failing checks are tried again, from the start of the run. Seconds or a text such as V(2m).
      - V(0) tries each check once, bounded by O(timeout) alone.
    type: str
    default: 10s
  interval:
    description: The pause between two attempts of one check. Seconds or a text.
    type: str
    default: 1s
  timeout:
    description: How long one attempt may take; one that would outlast the deadline is cut there. Seconds or a text.
    type: str
    default: 5s
  concurrency:
    description: How many attempts run at once, 1 to 1000.
    type: int
    default: 64
  subject:
    description: The subject of results that speak of the host itself. The host's own name when not given.
    type: str
  fail_on:
    description:
      - The module fails when a result has one of these verdicts. An empty list never fails.
      - An empty list of checks has the verdict C(unknown); nothing was checked.
    type: list
    elements: str
    choices: [pass, warn, fail, skip, unknown]
    default: [fail, unknown]
attributes:
  check_mode:
    description: Checks run in check mode too. They only read, as far as the operator's commands and requests do.
    support: full
  diff_mode:
    description: Nothing is changed.
    support: none
  idempotent:
    description: Nothing is changed.
    support: full
notes:
  - Values of C(password), C(body) and of headers that carry credentials are hidden in the output, and O(checks)
    does not go to the host's journal. Set C(no_log) on the task when the output itself must not be seen.
  - Needs Python 3.10 on the host, and python3-psycopg2 for checks of PostgreSQL.
seealso:
  - module: slipway.ops.evidence
author:
  - The Slipway authors (@slipway)
"""

EXAMPLES = r"""
- name: The shop is healthy
  slipway.ops.health_check:
    deadline: 60s
    checks:
      - kind: http
        url: https://shop.example/health
        address: 127.0.0.1
        json: {status: ok, "checks.queue.depth": "< 100"}
      - kind: http
        name: search
        url: https://shop.example/search?q=shoe
        requests: 50
        latency: "< 500 ms"
      - kind: tls
        host: shop.example
        expires: "> 30 d"
      - kind: systemd
        unit: nginx.service
      - kind: container
        labels: {slipway.service: shop}
        count: ">= 2"
      - kind: file
        path: /srv/backup/*.dump
        age: "< 26 h"
        size: "> 1 MiB"
        area: data
      - kind: postgresql
        id: data.postgresql.replication_lag
        replication_lag: "< 10 s"
      - kind: prometheus
        query: sum(rate(http_requests_total{code=~"5.."}[5m])) / sum(rate(http_requests_total[5m]))
        unit: "1"
        limit: "< 0.1 %"

- name: Look without failing
  slipway.ops.health_check:
    checks: "{{ health_checks }}"
    deadline: 0
    fail_on: []
  register: health
"""

RETURN = r"""
results:
  description: One result for each check, in their order; the shape that M(slipway.ops.evidence) records.
  returned: always, unless the definitions were refused
  type: list
  elements: dict
  contains:
    id: {description: "What was measured, dotted.", type: str}
    area: {description: Area of operations., type: str}
    subject: {description: Host or endpoint that it speaks of., type: str}
    claim: {description: The sentence that is true when it passes., type: str}
    verdict: {description: 'pass, warn, fail, skip or unknown.', type: str}
    measured: {description: 'Number in RV(results[].unit), or text.', type: raw}
    unit: {description: 'UCUM style: s, ms, d, By, %, 1.', type: str}
    limit: {description: The comparison that decides., type: str}
    at: {description: 'Start of the first attempt, RFC 3339 UTC.', type: str}
    took: {description: 'Seconds from the first attempt to the last, pauses included.', type: float}
    source: {description: The kind of check and its version., type: str}
    reason: {description: What came back instead and where to look; null for a pass., type: str}
    artifacts: {description: Always empty here., type: list, elements: str}
  sample:
    - id: application.http.answers
      area: application
      subject: https://shop.example/health
      claim: https://shop.example/health answers 200
      verdict: fail
      measured: 503
      unit: "1"
      limit: "= 200"
      at: "2026-11-21T11:40:00.123Z"
      took: 10.02
      source: health_check/http 0.1.0
      reason: "it answered 503, wanted 200; it said: maintenance (attempt 10)"
      artifacts: []
counts:
  description: How many results have each verdict.
  returned: always, unless the definitions were refused
  type: dict
  sample: {fail: 1, unknown: 0, warn: 0, skip: 0, pass: 11}
verdict:
  description: The worst verdict; V(unknown) when nothing was checked.
  returned: always, unless the definitions were refused
  type: str
msg:
  description: The counts, and when the module fails a table of what failed with the reasons.
  returned: always
  type: str
"""

import socket
from collections import Counter

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.core.result import VERDICTS
from ansible_collections.slipway.ops.plugins.module_utils.core.units import UnitError, duration
from ansible_collections.slipway.ops.plugins.module_utils.health.definition import DefinitionError, define, secrets
from ansible_collections.slipway.ops.plugins.module_utils.health.engine import Pace, run
from ansible_collections.slipway.ops.plugins.module_utils.health.kinds import KINDS
from ansible_collections.slipway.ops.plugins.module_utils.health.summary import counts, sentence, table, worst_verdict

SHOWN = 50  # results in the message; all of them are in `results`


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            # Definitions carry credentials: no_log keeps them out of the host's journal.
            "checks": {"type": "list", "elements": "dict", "required": True, "no_log": True},
            "deadline": {"type": "str", "default": "10s"},
            "interval": {"type": "str", "default": "1s"},
            "timeout": {"type": "str", "default": "5s"},
            "concurrency": {"type": "int", "default": 64},
            "subject": {"type": "str"},
            "fail_on": {"type": "list", "elements": "str", "choices": list(VERDICTS), "default": ["fail", "unknown"]},
        },
        supports_check_mode=True,
    )
    # From here on only what is secret is hidden, or no result could be read.
    module.no_log_values = secrets(module.params["checks"], KINDS)
    try:
        pace = read_pace(module.params)
        checks = define(module.params["checks"], KINDS)
    except (DefinitionError, UnitError, ValueError) as error:
        module.fail_json(msg=f"The checks were not run, their definition makes no sense:\n{error}")
    results = [result.as_dict() for result in run(checks, pace, module.params["subject"] or socket.gethostname())]
    warn_of_collisions(module, results)
    bad = [result for result in results if result["verdict"] in module.params["fail_on"]]
    outcome = {
        "results": results,
        "counts": counts(results),
        "verdict": worst_verdict(results),
        "changed": False,
    }
    if outcome["verdict"] in module.params["fail_on"] or bad:
        more = [f"and {len(bad) - SHOWN} more, in results"] if len(bad) > SHOWN else []
        module.fail_json(msg="\n".join([sentence(results), *table(bad[:SHOWN]), *more]), **outcome)
    module.exit_json(msg=sentence(results), **outcome)


def warn_of_collisions(module: AnsibleModule, results: list[dict]) -> None:
    """Results are told apart by id and subject; of two with the same the evidence would show the later one only."""
    seen = Counter((result["id"], result["subject"]) for result in results)
    (identity, subject), times = seen.most_common(1)[0] if seen else (("", ""), 0)
    if times > 1:
        module.warn(
            f"{times} checks have the id {identity} and the subject {subject}: give them names to tell them apart"
        )


def read_pace(params: dict) -> Pace:
    """The run's pace from the module's parameters."""
    pace = Pace(
        deadline=duration(params["deadline"]),
        interval=duration(params["interval"]),
        timeout=duration(params["timeout"]),
        concurrency=params["concurrency"],
    )
    if pace.interval <= 0 or pace.timeout <= 0 or not 1 <= pace.concurrency <= 1000:
        raise ValueError("interval and timeout must be more than 0 s, concurrency from 1 to 1000")
    return pace


if __name__ == "__main__":
    main()
