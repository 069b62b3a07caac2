"""Which files a part of the suite depends on, read from the tree itself: names of roles and plugins, imports, paths.

A part is a scenario (`molecule/<name>`) or a file of tests. What cannot be followed is taken whole: rather a part too
many than one too few.
"""

from __future__ import annotations

import ast
import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath

COLLECTION = "ansible_collections.slipway.ops."
# What every run on hosts stands on, whatever it names.
FOUNDATION = re.compile(
    r"ansible\.cfg|requirements\.lock|\.config/molecule/.*|meta/runtime\.yml|testbed/([^/]*\.yml|images/.*)|plugins/callback/.*"
)
OURS = re.compile(r"slipway\.ops\.([a-z_0-9]+)")
DOTTED = re.compile(r"ansible_collections\.slipway\.ops\.[a-z_.]+")
PATHS = re.compile(
    r"[A-Za-z0-9_./*-]+\.(?:yml|yaml|j2|py|sh|html|json|css)\b|[a-z_]+(?:/[a-z_]+)+|^(?:playbooks|plugins|roles)$"
)
COMMENT = re.compile(r"(?m)^\s*#.*$|\s#\s.*$|\{#.*?#\}")
PROGRAMS = re.compile(r"'([a-z_]+(?:\.[a-z_]+)+)'")
MODULE_UTILS = f"{COLLECTION}plugins.module_utils"
PLAYBOOK = re.compile(r"playbooks/[a-z_]+\.yml")
ENGINES = re.compile(r"engines/' ~ [a-z_]+ ~ '/")  # each engine's own
IMPORTED = re.compile(r"import_playbook: *(\S+)")
WORDS = re.compile(r"[\"']([a-z_]+)[\"']")
CARDS = re.compile(r"slipway\.ops\.cards'((?: *, *'[a-z]+')+)")
# What each term of the lookup reads of every role; the others are in its card.
FACETS = {
    "checks": ("checks.yml.j2", "card.yml"),
    "policy": ("policy.yml",),
    "alerts": ("alerts.yml",),
    "measures": ("measures.yml",),
}
# Of a role, what no run of it reads: only the tests that name it by path.
UNREAD = "meta/alerts_test.yml"
LOOKS = re.compile(r"pkgutil|import_module")
DOCUMENTS = {"DOCUMENTATION", "EXAMPLES", "RETURN"}
# What describes options and filters names much that it does not use.
TABLES = re.compile(r"plugins/.*\.yml|.*/meta/argument_specs\.yml|playbooks/arguments/.*")
RECORDED = {"tests/passed.json"}  # what the run writes itself
PLUGIN_KINDS = ("modules", "action", "filter", "lookup", "callback", "test", "doc_fragments")


class Tree:
    """The files of a checkout as git would commit them, and what each of them names."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @cached_property
    def files(self) -> dict[str, Path]:
        """Every tracked or new file by its path from the root; ignored files, links and the record do not count."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=self.root, capture_output=True, check=True, text=True).stdout
        found = {name: self.root / name for name in listed.split("\0") if name and name not in RECORDED}
        return {name: path for name, path in sorted(found.items()) if path.is_file() and not path.is_symlink()}

    @cached_property
    def digests(self) -> dict[str, str]:
        """Contents of every file, as git names them (blobs), so that they compare with a commit's."""
        return {name: _blob(path.read_bytes()) for name, path in self.files.items()}

    def beneath(self, folder: str) -> set[str]:
        prefix = folder.rstrip("/") + "/"
        return {name for name in self.files if name.startswith(prefix)}

    def inputs(self, part: str) -> set[str]:
        """Every file that the part's outcome depends on; `part` is a folder or a file of the tree."""
        roots = self.beneath(part) or {part}
        foundation = {name for name in self.files if FOUNDATION.fullmatch(name)}
        seen: set[str] = set()
        waiting = {name for name in roots | foundation if not name.endswith(".md")}
        while waiting:
            name = waiting.pop()
            if name in seen:
                continue
            seen.add(name)
            waiting |= self._names(name) - seen
        return seen

    def contents(self, part: str) -> dict[str, str]:
        """The part's inputs with their digests."""
        return {name: self.digests[name] for name in sorted(self.inputs(part))}

    def _names(self, name: str) -> set[str]:
        if name not in self._followed:
            found = self._mentioned(name, self.files[name])
            self._followed[name] = {other for other in found if not other.endswith(".md")}
        return self._followed[name]

    @cached_property
    def _followed(self) -> dict[str, set[str]]:
        return {}

    def _mentioned(self, name: str, path: Path) -> Iterator[str]:
        """What the file names; documentation names much that it does not use."""
        if TABLES.fullmatch(name) or (FOUNDATION.fullmatch(name) and path.suffix != ".py"):
            return
        if path.suffix == ".py":
            yield from self._of_python(name, path.read_text(encoding="utf-8"))
        elif path.suffix in (".yml", ".j2", ".cfg", ".sh", ""):
            text = COMMENT.sub("", path.read_text(encoding="utf-8", errors="replace"))
            named = set(OURS.findall(text))
            yield from self._of_ours(text)
            yield from self._by_path(name, text)
            if {"program_files", "engine_files"} & named:  # its terms are modules
                yield from (
                    found for word in PROGRAMS.findall(text) for found in self._module(f"{MODULE_UTILS}.{word}")
                )
            if "known_variables" in named and name.startswith("playbooks/"):
                own = f"playbooks/arguments/{PurePosixPath(name).name}"
                yield from {own, "playbooks/arguments/shared.yml"} & self.files.keys()

    def _of_python(self, name: str, text: str) -> Iterator[str]:
        tree = ast.parse(text)
        yield from self._imported(tree, PurePosixPath(name).parent)
        texts = _texts(tree)
        for short in (text for text in texts if len(text) < 200):
            yield from self._of_ours(short)
            yield from (found for dotted in DOTTED.findall(short) for found in self._module(dotted))
            if not name.startswith("plugins/"):
                yield from self._by_path(name, short)
        if any(isinstance(node, ast.ImportFrom) and node.module == "playbook" for node in ast.walk(tree)):
            yield from (f"playbooks/{text}.yml" for text in texts if f"playbooks/{text}.yml" in self.files)

    def _of_ours(self, text: str) -> Iterator[str]:
        """What full names in a text stand for; the lookup of cards reads what it is asked for of every role."""
        named = set(OURS.findall(text))
        yield from (found for word in named for found in self._named(word))
        if "cards" in named:
            asked = {term for terms in CARDS.findall(text) for term in WORDS.findall(terms)}
            files = {file for term in asked for file in FACETS.get(term, ("card.yml",))}
            metas = (other for other in self.files if re.match(r"roles/[^/]+/meta/", other))
            yield from (other for other in metas if not files or PurePosixPath(other).name in files)

    def _named(self, word: str) -> Iterator[str]:
        """A full name: `slipway.ops.nginx` may be a role, a module with its action, a filter, a playbook."""
        yield from self.beneath(f"roles/{word}") - {f"roles/{word}/{UNREAD}"}
        places = {f"plugins/{kind}/{word}{ending}" for kind in PLUGIN_KINDS for ending in (".py", ".yml")}
        yield from places & self.files.keys()
        yield from self._filters.get(word, ())
        if f"playbooks/{word}.yml" in self.files:
            yield f"playbooks/{word}.yml"

    @cached_property
    def _filters(self) -> dict[str, list[str]]:
        """Filters by name: several stand in one file, whose class says them, each documented in one of its own."""
        homes: dict[str, list[str]] = {}
        for name in self.files:
            if name.startswith("plugins/filter/") and name.endswith(".py"):
                _helpers, _class, said = self.files[name].read_text(encoding="utf-8").partition("class FilterModule")
                for word in set(re.findall(r"[a-z_0-9]+", said)):
                    homes.setdefault(word, []).append(name)
        return homes

    def _imported(self, tree: ast.Module, here: PurePosixPath) -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield from self._module(alias.name)
                    yield from {f"{here}/{alias.name}.py"} & self.files.keys()
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from {f"{here}/{node.module}.py"} & self.files.keys()
                modules = {alias.name: self._module(f"{node.module}.{alias.name}") for alias in node.names}
                yield from (found for files in modules.values() for found in files)
                others = {name for name, files in modules.items() if not files}
                yield from self._module(node.module, exact=others <= self._defined(node.module))

    def _module(self, dotted: str, exact: bool = False) -> set[str]:
        """Files of a Python module; a package whose members are not named is taken whole, for it may look for them."""
        if dotted.startswith(COLLECTION):
            place = dotted.removeprefix(COLLECTION).replace(".", "/")
            packages = {f"{parent}/__init__.py" for parent in PurePosixPath(place).parents}
            found = {f"{place}.py", f"{place}/__init__.py"} & self.files.keys()
            whole = self.beneath(place) if f"{place}/__init__.py" in found and not exact else set()
            return found | whole | (packages & self.files.keys() if found else set())
        return {f"tests/helpers/{dotted.replace('.', '/')}.py"} & self.files.keys()

    def _defined(self, dotted: str) -> set[str]:
        """Names that a package's own file gives; none where it looks for its modules itself."""
        name = dotted.removeprefix(COLLECTION).replace(".", "/") + "/__init__.py"
        text = self.files[name].read_text(encoding="utf-8") if name in self.files else ""
        if LOOKS.search(text):
            return set()
        found = set()
        for node in ast.parse(text).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found |= {(alias.asname or alias.name) for alias in node.names}
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                found |= {target.id for target in targets if isinstance(target, ast.Name)}
        return found

    def _by_path(self, name: str, text: str) -> Iterator[str]:
        """Paths as templates, tasks and tests write them, from where each of them is looked for."""
        here = PurePosixPath(name).parent
        if name.startswith(
            "roles/"
        ):  # a role is taken whole; what it installs of the collection's code is named by path
            bases = ["plugins/module_utils"]
        elif name.startswith("playbooks/"):
            bases = [str(here), "playbooks"]
        else:
            bases = [str(here), f"{here}/templates", str(here.parent), ""]
        # A message of a playbook names others that it tells to run.
        imported = {PurePosixPath(place).name for place in IMPORTED.findall(text)}
        for token in set(PATHS.findall(ENGINES.sub("engines/*/", text))):
            for base in bases:
                place = os.path.normpath(f"{base}/{token.lstrip('/')}").lstrip("/")
                if place in self.files:
                    if name.endswith(".py") or not PLAYBOOK.fullmatch(place) or PurePosixPath(place).name in imported:
                        yield place
                elif "*" in place:
                    yield from (other for other in self.files if PurePosixPath(other).match(place))
                elif name.endswith(".py") or place.startswith("inventories/"):
                    yield from self.beneath(place)
        if "sample-service" in text:
            yield from self.beneath("testbed/sample-service")


def digest(contents: dict[str, str]) -> str:
    """One value for all of them."""
    return hashlib.sha256("".join(f"{name}\0{value}\n" for name, value in contents.items()).encode()).hexdigest()


def _blob(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content, usedforsecurity=False).hexdigest()


def _texts(tree: ast.Module) -> set[str]:
    """Every text of a program but its documents, and those that name a field, an argument, or a word for Docker."""
    said = {id(one) for node in ast.walk(tree) for one in _beside(node)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in said)
    return {node.value for node in constants if isinstance(node.value, str)}


def _beside(node: ast.AST) -> Iterator[ast.AST]:
    """The texts beneath a node that name no file and no playbook."""
    if isinstance(node, ast.Expr) or (isinstance(node, ast.Assign) and DOCUMENTS & {*map(_name, node.targets)}):
        yield node.value
    elif isinstance(node, ast.Subscript):
        yield node.slice
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "parametrize":
        yield from ast.walk(node.args[0])
    elif isinstance(node, ast.Call) and _name(node.func) == "docker":
        yield from node.args
    elif isinstance(node, ast.List) and getattr(node.elts[0] if node.elts else None, "value", "") == "docker":
        yield from node.elts


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else ""
