"""Types of credentials in AWX: fields and where jobs find them, and never a value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.awx.client import Client, Login
from ansible_collections.slipway.ops.plugins.module_utils.awx.credential_types import CredentialTypeError, wanted
from ansible_collections.slipway.ops.plugins.module_utils.awx.objects import Place, objects
from ansible_collections.slipway.ops.plugins.module_utils.awx.sync import Sync
from awx_server import TOKEN, Awx, Server
from test_jobs import PLACE, PLAYBOOKS, jobs

KIWI: dict[str, Any] = {
    "name": "kiwi webhook",
    "fields": [{"id": "url", "label": "Webhook"}, {"id": "room", "secret": False}],
    "env": {"KIWI_WEBHOOK": "url"},
    "extra_vars": {"kiwi_room": "room"},
}


@pytest.fixture
def awx() -> Iterator[Awx]:
    state = Awx(PLAYBOOKS)
    state.create("credentials", {"name": "kiwi-ssh"})
    with Server(state) as server:
        state.url = server.url  # type: ignore[attr-defined]
        yield state


def apply(awx: Awx, check: bool = False) -> Sync:
    sync = Sync(Client(Login(awx.url, TOKEN)), check, sleep=lambda _: None)  # type: ignore[attr-defined]
    sync.apply(list(objects(Place(**PLACE, credential_types=[KIWI]), jobs())))
    return sync


def test_a_type_is_there_after_a_run_and_a_second_changes_nothing(awx: Awx) -> None:
    assert "credential_types kiwi webhook" in apply(awx, check=True).made and not awx.requests
    apply(awx)
    (made,) = awx.objects["credential_types"].values()
    assert made["kind"] == "cloud" and made["inputs"]["required"] == ["url", "room"]
    assert [field.get("secret", False) for field in made["inputs"]["fields"]] == [True, False]
    assert made["injectors"] == {"env": {"KIWI_WEBHOOK": "{{ url }}"}, "extra_vars": {"kiwi_room": "{{ room }}"}}
    awx.requests.clear()
    second = apply(awx)
    assert (second.made, second.changes, awx.requests) == ([], [], [])


def test_what_was_changed_by_hand_is_told_and_put_back(awx: Awx) -> None:
    apply(awx)
    (made,) = awx.objects["credential_types"].values()
    made["injectors"] = {"env": {"KIWI_WEBHOOK": "{{ room }}"}}
    sync = apply(awx)
    assert [change for change in sync.changes if change.startswith("credential_types kiwi webhook: injectors")]
    assert made["injectors"]["env"] == {"KIWI_WEBHOOK": "{{ url }}"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": ""}, "has no name"),
        ({"inputs": {}}, "has inputs; it may have"),
        ({"fields": []}, "nobody could fill it in"),
        ({"fields": [{"id": "a b"}]}, "its id is a word"),
        ({"fields": [{"id": "url", "value": "hush"}]}, "values are filled in in AWX alone"),
        ({"fields": [{"id": "url", "default": "hush"}]}, "values are filled in in AWX alone"),
        ({"env": {}, "extra_vars": {}}, "no job would find its values"),
        ({"env": {"KIWI": "ulr"}}, "its fields are url, room"),
        ({"env": {"KIWI WEBHOOK": "url"}}, "which AWX does not take"),
        ({"env": {"PATH": "url"}}, "which AWX does not take"),
        ({"env": {"ANSIBLE_CONFIG": "url"}}, "which AWX does not take"),
    ],
)
def test_a_type_that_cannot_be_meant_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(CredentialTypeError) as caught:
        wanted([KIWI | change])
    assert said in str(caught.value) and "hush" not in str(caught.value)
