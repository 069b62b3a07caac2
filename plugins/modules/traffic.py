#!/usr/bin/python
# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
from __future__ import annotations

DOCUMENTATION = r"""
module: traffic
short_description: Send traffic to a service while other tasks run, and say what it felt
version_added: 0.1.0
description:
  - Starts a prober, a process of its own on the host, that sends requests at fixed rates while the play goes on to
    change something, and later tells how many failed, when and why, how long answers took and which versions answered.
  - Requests are sent on schedule whether or not earlier ones were answered, and their latency counts from the time at
    which they were due. Nothing that may have been processed is sent twice. TLS certificates are always verified.
  - A kept connection that the service closed I(between) requests is replaced and counted as a close. A connection that
    ends after the request was sent is a failed request.
  - The prober ends by itself after O(max_duration), also when the controller is gone.
options:
  name:
    description: Name of the prober on this host; lower-case letters, digits, dots, dashes and underscores.
    type: str
    required: true
  state:
    description:
      - V(started) starts it. A running one of the same name with the same options is left alone; one with other options
        is refused unless O(replace). What an ended one saw is forgotten.
      - V(read) returns what it saw so far, or with O(window) lately.
      - V(stopped) lets the requests under way end, ends the prober and returns what it saw. What it saw stays until the
        next start of the same name.
      - V(absent) ends it and removes what it saw.
    type: str
    choices: [started, read, stopped, absent]
    default: started
  url:
    description: Where requests go; C(http) or C(https). Required with O(state=started).
    type: str
  post_url:
    description: Where the client C(post) posts; by default O(url).
    type: str
    default: ""
  websocket_url:
    description: Where the client C(websocket) connects, C(ws) or C(wss); by default O(url) with its scheme changed.
    type: str
    default: ""
  rates:
    description: Requests per second of each client, together at most 2000. 0 turns a client off; one that is not named
      keeps its default.
    type: dict
    default: {}
    suboptions:
      keep_alive:
        description: GET over O(connections) kept connections in turn, HTTP/1.1.
        type: float
        default: 20
      fresh:
        description: GET over a new connection each, HTTP/1.1.
        type: float
        default: 5
      post:
        description: POST of O(body) over O(connections) kept connections in turn, HTTP/1.1.
        type: float
        default: 0
      websocket:
        description:
          - Pings over one open WebSocket. A ping without its pong is a failed request, and so is the WebSocket's cut.
          - A close frame with code 1000, 1001 or 1012 is a close, not a failure. The next ping opens it anew.
        type: float
        default: 0
      http2:
        description:
          - GET over one HTTP/2 connection; needs C(https), and C(python3-h2) on the host.
          - A request that the service declares not processed (GOAWAY, REFUSED_STREAM) is sent again, as the protocol
            means it.
        type: float
        default: 0
  address:
    description:
      - Connect to this host, or C(host:port), instead of that in the URLs, which stays in the Host header and is what
        the certificate must name.
    type: str
    default: ""
  server_name:
    description: Name for TLS (SNI and certificate) when it is not the URL's host.
    type: str
    default: ""
  ca_file:
    description: PEM file on the host with the certificate authorities to trust; by default the system's.
    type: str
    default: ""
  headers:
    description: Headers to send; one of the prober's own with the same name gives way.
    type: dict
    default: {}
  body:
    description: What the client C(post) sends.
    type: str
    default: "{}"
  content_type:
    description: Media type of O(body).
    type: str
    default: application/json
  connections:
    description: How many connections each client that keeps them holds.
    type: int
    default: 10
  timeout:
    description: Seconds until a request without its complete answer has failed.
    type: float
    default: 10
  max_duration:
    description: Seconds after which the prober ends by itself.
    type: float
    default: 600
  success_codes:
    description: HTTP status codes that are success; by default all from 200 to 399.
    type: list
    elements: int
    default: []
  version_header:
    description: Response header that names the version that answered; empty for none.
    type: str
    default: X-Service-Version
  version_field:
    description:
      - Field of a JSON answer, and of the messages of a WebSocket, that names the version where the header is absent;
        empty for none.
    type: str
    default: version
  replace:
    description: With O(state=started), stop a running prober of this name that has other options, and start this one.
    type: bool
    default: false
  window:
    description: With O(state=read), count only what ended in the last so many seconds, exact to about one second.
    type: int
  id_prefix:
    description: With O(state=read) and O(state=stopped), area and kind of the results' ids, such as C(delivery.deploy).
    type: str
  subject:
    description: Subject of the results; by default the host in O(url).
    type: str
  limits:
    description:
      - What the results must keep to, by measure, for example C(failed_requests) C(= 0).
      - Measures are C(failed_requests), C(error_rate) (%), C(requests), C(latency_p50), C(latency_p95), C(latency_p99),
        C(latency_max) (ms), C(longest_gap) (s) and C(rate), of requests that were answered well (1/s).
    type: dict
    default:
      failed_requests: "= 0"
  state_directory:
    description:
      - Directory of probers; by default C(/run/slipway/traffic), and for other users than root one of their own in the
        directory for temporary files.
    type: path
attributes:
  check_mode:
    description: Nothing is started or ended; a prober that was never started counts as having seen nothing.
    support: full
  diff_mode:
    description: A process has no diff.
    support: none
  idempotent:
    description: Starting a running prober, stopping an ended one and removing a missing one change nothing.
    support: full
notes:
  - Latencies count requests that were answered, with whatever status, and those that timed out.
  - The values of O(headers) are kept out of logs, and in a file that only the user may read.
  - The prober takes processor time where it runs; RV(traffic.total.prober_late) says whether it kept to its schedule.
author: The Slipway authors (@slipway)
seealso:
  - module: slipway.ops.evidence
"""

EXAMPLES = r"""
- name: Send traffic while the release is switched
  slipway.ops.traffic:
    name: deploy-sample
    url: https://www.example.com/version
    post_url: https://www.example.com/items
    websocket_url: wss://www.example.com/ws
    address: 127.0.0.1
    rates: {keep_alive: 50, fresh: 10, post: 20, websocket: 1}

- name: Watch the new release for the last 30 s
  slipway.ops.traffic:
    name: deploy-sample
    state: read
    window: 30
  register: watch
  until: watch.traffic.total.error_rate is not none and watch.traffic.total.error_rate < 1

- name: Stop the traffic
  slipway.ops.traffic:
    name: deploy-sample
    state: stopped
    id_prefix: delivery.deploy
    limits: {failed_requests: "= 0", latency_p95: "< 500 ms", longest_gap: "< 1 s"}
  register: probed

- name: Record what the switch cost
  slipway.ops.evidence:
    run: "{{ slipway_run }}"
    records: "{{ probed.results }}"
  delegate_to: "{{ evidence_host }}"
"""

RETURN = r"""
traffic:
  description: What the prober saw; times are RFC 3339 UTC. V(none) in check mode when it was never started.
  returned: when O(state=read) or O(state=stopped)
  type: dict
  contains:
    name:
      description: The prober's name.
      type: str
    url:
      description: Where requests went.
      type: str
    running:
      description: Whether it still sends.
      type: bool
    ended_because:
      description: V(stopped), V(max_duration) or V(killed); V(none) while it runs.
      type: str
    started_at:
      description: Start of what is counted.
      type: str
    ended_at:
      description: End of sending; V(none) while it runs.
      type: str
    seconds:
      description: Length of what is counted in seconds.
      type: float
    total:
      description: All clients together.
      type: dict
      contains: &figures
        requests:
          description: Requests that ended.
          type: int
        failed:
          description: Those that failed.
          type: int
        error_rate:
          description: Share that failed in percent; V(none) without requests.
          type: float
        rate:
          description: Requests per second.
          type: float
        latency:
          description: C(p50), C(p95), C(p99) (within 0.5 %) and C(max) in milliseconds; V(none) without answers.
          type: dict
        longest_gap:
          description: Longest time without a success in seconds, from the start to the end of what is counted.
          type: float
        answers:
          description: Answers by HTTP status; C(pong) for the WebSocket.
          type: dict
        closes:
          description: C(idle) counts kept connections that the service closed between requests, C(goaway) HTTP/2
            connections that it ended in order; a number is the code of a WebSocket's close frame.
          type: dict
        prober_late:
          description: Milliseconds that the prober itself was behind its schedule at worst.
          type: float
    clients:
      description: The same for each client, by its name.
      type: dict
    reasons:
      description: How many requests failed for which reason.
      type: dict
    failures:
      description: The first 100 failures, with C(at), C(client), C(reason) and C(after) (seconds).
      type: list
      elements: dict
    versions:
      description: The versions that answered, with C(first) and C(last) answer and the number of C(responses).
      type: list
      elements: dict
results:
  description: One result for each of O(limits), and always C(failed_requests) and C(latency_p95), as
    M(slipway.ops.evidence) takes them. Empty without O(id_prefix).
  returned: when O(state=read) or O(state=stopped)
  type: list
  elements: dict
pid:
  description: Number of the prober's process.
  returned: when one was started
  type: int
"""

from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.slipway.ops.plugins.module_utils.traffic.control import Control
from ansible_collections.slipway.ops.plugins.module_utils.traffic.order import argument_spec, control_of, start
from ansible_collections.slipway.ops.plugins.module_utils.traffic.plan import TrafficError
from ansible_collections.slipway.ops.plugins.module_utils.traffic.report import check_results, results


def look(control: Control, params: dict[str, Any], check_mode: bool) -> dict[str, Any]:
    """Reads what there is, after stopping it if that is asked."""
    limits = check_results(params["id_prefix"], params["limits"]) if params["id_prefix"] else {}
    if not control.known():
        if check_mode:
            return {"changed": False, "traffic": None, "results": []}
        raise TrafficError(f"No prober {params['name']} was started on this host; start it first (state: started)")
    changed = params["state"] == "stopped" and control.running() is not None
    if changed and not check_mode:
        control.stop()
    summary = control.summary(params["window"] if params["state"] == "read" else None)
    subject = params["subject"] or urlsplit(summary["url"]).hostname or summary["url"]
    found = results(summary, params["id_prefix"], subject, limits) if params["id_prefix"] else []
    return {"changed": changed, "traffic": summary, "results": found}


def absent(control: Control, check_mode: bool) -> dict[str, Any]:
    return {"changed": control.exists() if check_mode else control.remove()}


def main() -> None:
    module = AnsibleModule(
        argument_spec=argument_spec(), required_if=[("state", "started", ["url"])], supports_check_mode=True
    )
    params = module.params
    try:
        control = control_of(params)
        if params["state"] == "started":
            answer = start(control, params, module.check_mode)
        elif params["state"] == "absent":
            answer = absent(control, module.check_mode)
        else:
            answer = look(control, params, module.check_mode)
    except TrafficError as error:
        module.fail_json(msg=str(error))
    except OSError as error:
        module.fail_json(msg=f"The prober's files cannot be used: {error}")
    module.exit_json(**answer)


if __name__ == "__main__":
    main()
