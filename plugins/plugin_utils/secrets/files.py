# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Encrypted files of variables: Ansible Vault's by Ansible's own library, those of SOPS by the operator's ``sops``.

What is written is encrypted before it reaches a disk, and takes the place of the former file in one step.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml
from ansible.errors import AnsibleError
from ansible.parsing.vault import VaultLib, parse_vaulttext_envelope
from ansible_collections.slipway.ops.plugins.module_utils.host.files import make_directory, replace

try:
    from ansible_collections.community.sops.plugins.module_utils.sops import Sops as SopsProgram
    from ansible_collections.community.sops.plugins.module_utils.sops import SopsError
except ImportError:  # only who has files of SOPS needs it
    SopsProgram, SopsError = None, OSError

VAULT_HEADER = b"$ANSIBLE_VAULT"
SOPS_NAMES = (".sops.yml", ".sops.yaml")
_TEMPORARY = re.compile(r"[a-z0-9_]{8}")  # as mkstemp ends a name
_VARIABLES = ("group_vars", "host_vars")
_SOPS_RULES = ("unencrypted_suffix", "encrypted_suffix", "unencrypted_regex", "encrypted_regex")
_SOPS_OTHERS = ("kms", "gcp_kms", "azure_kv", "hc_vault", "pgp", "key_groups", "shamir_threshold")


class SecretsError(Exception):
    """What an operator reads; nothing was written."""


class Cipher(Protocol):
    """One way to encrypt a file."""

    def open(self, path: Path, sealed: bytes) -> str: ...

    def seal(self, path: Path, text: str, former: bytes | None) -> bytes: ...


@dataclass(frozen=True)
class Vault:
    """Ansible Vault, with the passwords of this run."""

    library: VaultLib

    def open(self, path: Path, sealed: bytes) -> str:
        try:
            return bytes(self.library.decrypt(sealed)).decode()
        except (AnsibleError, UnicodeDecodeError) as error:
            raise SecretsError(
                f"{path} cannot be opened with the vault password of this run: {_short(error)}. "
                "Is it the right one (vault_password_file, --vault-id)?"
            ) from error

    def seal(self, path: Path, text: str, former: bytes | None) -> bytes:
        if not self.library.secrets:
            raise SecretsError(
                f"{path} cannot be encrypted: this run has no vault password. Give one with --vault-password-file, or "
                "vault_password_file in ansible.cfg."
            )
        if former is None:
            return bytes(self.library.encrypt(text))
        # With the password that opened it, and under its label.
        _, label, secret = self.library.decrypt_and_get_vault_id(former)
        version = parse_vaulttext_envelope(former)[1]
        named = label if version == b"1.2" else None
        return bytes(self.library.encrypt(text, secret=secret, vault_id=named))


@dataclass(frozen=True)
class Sops:
    """SOPS with age, by the program of the operator; keys are where SOPS itself looks for them."""

    def open(self, path: Path, sealed: bytes) -> str:
        return str(_sops("decrypt", str(path), rstrip=False))

    def seal(self, path: Path, text: str, former: bytes | None) -> bytes:
        chosen = _sops_choices(path, former) if former is not None else {}
        sealed = _sops("encrypt", text.encode(), cwd=str(path.parent), filename=path.name, get_option_value=chosen.get)
        return bytes(sealed)


def _sops(operation: str, *arguments: Any, **options: Any) -> Any:
    """What the collection's runner of ``sops`` returns; its errors are ours."""
    if SopsProgram is None:
        raise SecretsError(
            "The collection community.sops is missing: ansible-galaxy collection install community.sops."
        )
    try:
        return getattr(SopsProgram, operation)(*arguments, input_type="yaml", output_type="yaml", **options)
    except FileNotFoundError as error:
        raise SecretsError(
            "sops is missing on this controller. Install it from your distribution, or build it: "
            "go install github.com/getsops/sops/v3/cmd/sops@v3.10.2"
        ) from error
    except SopsError as error:
        raise SecretsError(
            f"{_short(error)}. sops finds an age key in SOPS_AGE_KEY_FILE or ~/.config/sops/age/keys.txt, and for whom "
            "a new file is in creation_rules of .sops.yaml."
        ) from error


def _sops_choices(path: Path, former: bytes) -> dict[str, Any]:
    """For whom the file is encrypted, and what of it."""
    data = (yaml.safe_load(former) or {}).get("sops") or {}
    others = [name for name in _SOPS_OTHERS if data.get(name)]
    recipients = [entry["recipient"] for entry in data.get("age") or []]
    if others or not recipients:
        raise SecretsError(
            f"{path} is encrypted for {', '.join(others) or 'nobody'}, and only files for age are written here. "
            "Edit it with sops."
        )
    return {"age": recipients} | {name: data[name] for name in _SOPS_RULES if data.get(name)}


@dataclass(frozen=True)
class Sealed:
    """An encrypted file as it was read."""

    path: Path
    cipher: Cipher
    former: bytes | None
    text: str

    @property
    def names(self) -> list[str]:
        return list(_values(self.path, self.text))

    def holds(self, name: str, value: str) -> bool:
        node = _values(self.path, self.text).get(name)
        return isinstance(node, yaml.ScalarNode) and node.value == value

    def write(self, values: Mapping[str, str]) -> None:
        """Has these values, whole or not at all; somebody else's change since it was read is refused."""
        sealed = self.cipher.seal(self.path, with_values(self.path, self.text, values), self.former)
        if (self.path.read_bytes() if self.path.exists() else None) != self.former:
            raise SecretsError(
                f"{self.path} was changed by somebody else meanwhile, and is as they left it. Run again."
            )
        put(self.path, sealed, 0o600)


def discover(inventories: Sequence[Path], vault: Vault) -> list[Sealed]:
    """The encrypted files beside the inventories, opened."""
    found = []
    for place in dict.fromkeys(inventories):
        for directory in _VARIABLES:
            for path in sorted((place / directory).rglob("*")):
                if path.is_file() and not path.name.startswith(".") and (cipher := cipher_of(path, vault)):
                    sealed = path.read_bytes()
                    found.append(Sealed(path, cipher, sealed, cipher.open(path, sealed)))
    return found


def cipher_of(path: Path, vault: Vault) -> Cipher | None:
    """How a file is encrypted; one that is not is none of ours, unless its name says that it is."""
    if path.name.endswith(SOPS_NAMES):
        if path.exists() and "sops" not in (yaml.safe_load(path.read_bytes()) or {}):
            raise SecretsError(f"{path} is not encrypted, though its name says so: sops encrypt --in-place {path}")
        return Sops()
    if not path.exists():
        return vault
    with path.open("rb") as file:
        return vault if file.read(len(VAULT_HEADER)) == VAULT_HEADER else None


def _values(path: Path, text: str) -> dict[str, yaml.Node]:
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError:
        # Its text would be in the error.
        raise SecretsError(f"What {path} holds is not YAML. Correct it with ansible-vault edit or sops.") from None
    if node is None:
        return {}
    if not isinstance(node, yaml.MappingNode):
        raise SecretsError(f"What {path} holds is no mapping of variables.")
    return {key.value: value for key, value in node.value}


def with_values(path: Path, text: str, values: Mapping[str, str]) -> str:
    """The text with other values of some variables; comments and all else stay as they are."""
    before = _values(path, text)
    changed = text
    known = [(before[name], value) for name, value in values.items() if name in before]
    for node, value in sorted(known, key=lambda one: -one[0].start_mark.index):
        if not isinstance(node, yaml.ScalarNode):
            raise SecretsError(f"{path} has other than text where a secret stands, in line {node.start_mark.line + 1}.")
        end = "\n" if node.style in ("|", ">") else ""
        changed = changed[: node.start_mark.index] + json.dumps(value) + end + changed[node.end_mark.index :]
    if changed and not changed.endswith("\n"):
        changed += "\n"
    added = [f"{name}: {json.dumps(value)}\n" for name, value in values.items() if name not in before]
    changed = "".join([changed or "---\n", *added])
    after = _values(path, changed)
    wanted = {name: yaml.serialize(node) for name, node in before.items() if name not in values}
    if {name: yaml.serialize(node) for name, node in after.items() if name not in values} != wanted or any(
        after[name].value != value for name, value in values.items()
    ):
        raise SecretsError(f"{path} is written in a way that cannot be changed from here. Edit it with its own tool.")
    return changed


def put(path: Path, content: bytes, mode: int) -> None:
    """In one step; a file that is there keeps its mode, and a link goes on pointing to it."""
    path = path.resolve()
    make_directory(path.parent)
    for left in path.parent.glob(f".{path.name}.*"):  # by a run that was killed; .swp is an editor's
        if _TEMPORARY.fullmatch(left.name.rpartition(".")[2]):
            left.unlink()
    replace(path, content, path.stat().st_mode & 0o777 if path.exists() else mode)


@contextlib.contextmanager
def alone(place: Path) -> Iterator[None]:
    """Two of these at once would lose what one of them wrote. The lock ends with its process, however that ends."""
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SecretsError(f"Another run changes the secrets of {place}. Let it end, then run again.") from None
        yield
    finally:
        os.close(descriptor)


def _short(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
