# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compare, stage, check, swap; and what to do with a run that was killed in between."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field

from ansible_collections.slipway.ops.plugins.module_utils.config_tree.checker import Checker, Verdict
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.journal import (
    Entry,
    Journal,
    default_state_directory,
    locked,
    sync_directory,
)
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import ConfigTreeError, Wanted
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.namespace import (
    NamespaceUnavailable,
    run_with_view,
)
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.plan import Change, make_plan
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.stage import (
    Stage,
    Staged,
    can_be_exchanged,
    fingerprint,
)
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.steps import Step, dump_steps, load_steps

_CANNOT_EXCHANGE = (errno.EXDEV, errno.EBUSY, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP)


@dataclass(frozen=True)
class Options:
    """How a set is installed. Times are seconds."""

    require_namespace: bool = False
    lock_timeout: float = 60.0
    state: str = field(default_factory=default_state_directory)


@dataclass
class Outcome:
    """What a run did. ``how``: `none`, `namespace`, `fallback`, `skipped`; ``swap``: `none`, `exchange`, `rename`.

    ``reason`` says why the set was not checked in a namespace, ``warning`` what the checker refuses in check mode.
    """

    changes: list[Change]
    recovered: list[str] = field(default_factory=list)
    how: str = "none"
    output: str = ""
    reason: str = ""
    warning: str = ""
    swap: str = "none"


class Transaction:
    """One run. ``reached`` is called with the name of each point passed: a test kills the process there."""

    def __init__(
        self,
        wanted: Wanted,
        checker: Checker | None = None,
        options: Options | None = None,
        reached: Callable[[str], None] = lambda point: None,
    ) -> None:
        self._wanted = wanted
        self._checker = checker
        self._options = options or Options()
        self._reached = reached
        self._journal = Journal(self._options.state)
        self._entry = Entry("stage", [])

    def run(self) -> Outcome:
        """Bring the wanted set about, or raise with everything as it was."""
        with locked(self._options.state, self._options.lock_timeout):
            recovered = self._recover()
            changes = make_plan(self._wanted)
            if not changes:
                return Outcome([], recovered)
            self._refuse_unknown_names()
            outcome = self._install(changes)
            outcome.recovered = recovered
            return outcome

    def look(self) -> Outcome:
        """What `run` would do. The set is checked where that leaves no trace, in memory; it may need what is not there
        yet, so a refusal is a warning."""
        pending = self._journal.read()
        outcome = Outcome(make_plan(self._wanted), pending.changed if pending and pending.phase == "commit" else [])
        if not outcome.changes or self._checker is None:
            return outcome
        outcome.how = "skipped"
        if self._wanted.unknown_names or not self._checker.is_installed():
            missing = ", ".join(self._wanted.unknown_names) or self._checker.argv[0]
            outcome.reason = f"{missing} is not there yet"
            return outcome
        with tempfile.TemporaryDirectory(
            prefix="slipway-", dir="/run" if os.access("/run", os.W_OK) else None
        ) as place:
            try:
                staged = self._stage(outcome.changes, Stage(only_in=place))
                verdict = self._check_in_namespace(self._checker, staged, os.path.join(place, "view"))
                outcome.how, outcome.output = "namespace", verdict.output
                outcome.warning = "" if verdict.passed else _refusal(self._checker, verdict)
            except (NamespaceUnavailable, ConfigTreeError, OSError) as error:
                outcome.reason = f"cannot be checked without a trace: {error}"
        return outcome

    # -- the way of a run -------------------------------------------------------------------------------------------

    def _install(self, changes: list[Change]) -> Outcome:
        stage = Stage()
        targets = [change.path for change in changes]
        self._entry.changed = targets
        self._entry.workspaces = sorted({stage.workspace(path) for path in (*self._roots(), *targets)})
        try:
            self._write("stage", [])
            staged = self._stage(changes, stage)
            self._reached("staged")
            return self._check_and_swap(changes, stage, staged)
        except OSError as error:
            raise ConfigTreeError(f"{error.filename or 'swap'}: {error.strerror}. {self._state_in_words()}") from error
        finally:
            if self._entry.phase != "trial":
                self._clean_up(self._entry)

    def _check_and_swap(self, changes: list[Change], stage: Stage, staged: Staged) -> Outcome:
        if self._checker is None:
            return Outcome(changes, swap=self._swap(changes, stage, staged))
        if not self._checker.is_installed():
            name = self._checker.argv[0]
            raise ConfigTreeError(f"validate: {name} is not installed; install it before. Nothing was changed")
        scratch = os.path.join(self._options.state, "view")
        try:
            verdict = self._check_in_namespace(self._checker, staged, scratch)
        except NamespaceUnavailable as error:
            if self._options.require_namespace:
                message = f"the set cannot be checked before it is live ({error}) and require_namespace is set"
                raise ConfigTreeError(f"{message}. Nothing was changed") from error
            outcome = self._try_live(self._checker, changes, stage, staged)
            outcome.reason = f"no mount namespace: {error}"
            return outcome
        if not verdict.passed:
            raise ConfigTreeError(f"{_refusal(self._checker, verdict)}\nNothing was changed")
        return Outcome(changes, how="namespace", output=verdict.output, swap=self._swap(changes, stage, staged))

    def _stage(self, changes: list[Change], stage: Stage) -> Staged:
        """As one tree when more than one of the root's files change: a single rename is atomic by itself."""
        root = self._wanted.root
        many = sum(self._wanted.inside_root(change.path) and not change.is_directory for change in changes) > 1
        if root and many and can_be_exchanged(root):
            return stage.as_tree(root, changes)
        return stage.one_by_one(changes)

    def _check_in_namespace(self, checker: Checker, staged: Staged, scratch: str) -> Verdict:
        os.makedirs(scratch, mode=0o700, exist_ok=True)
        return run_with_view(staged.view, scratch, checker.run)

    def _try_live(self, checker: Checker, changes: list[Change], stage: Stage, staged: Staged) -> Outcome:
        """Swap file by file, check the live paths, and swap back when the checker refuses them."""
        if staged.exchanges:
            staged = stage.one_by_one(changes)
        self._write("trial", staged.steps)
        try:
            self._apply(staged.steps)
            verdict = checker.run()
            if not verdict.passed:
                raise ConfigTreeError(f"{_refusal(checker, verdict)}\nThe old set is back in place")
        except BaseException:
            self._take_back(staged.steps)
            raise
        self._write("commit", staged.steps)
        return Outcome(changes, how="fallback", output=verdict.output, swap="rename")

    def _swap(self, changes: list[Change], stage: Stage, staged: Staged) -> str:
        """Put the staged set in place; answers how."""
        if staged.exchanges and fingerprint(str(self._wanted.root)) != staged.seen:
            raise ConfigTreeError(f"{self._wanted.root}: changed while it was staged; run again. Nothing was changed")
        try:
            self._commit(staged.steps)
        except OSError as error:
            if not staged.exchanges or error.errno not in _CANNOT_EXCHANGE:
                raise
            self._commit(stage.one_by_one(changes).steps)
            return "rename"
        return "exchange" if staged.exchanges else "rename"

    def _commit(self, steps: list[Step]) -> None:
        self._write("commit", steps)
        try:
            self._apply(steps)
        except BaseException:
            self._write("trial", steps)
            self._take_back(steps)
            raise

    def _apply(self, steps: list[Step]) -> None:
        for number, step in enumerate(steps):
            self._reached(f"before step {number}")
            step.apply()
        self._reached("swapped")
        for step in steps:
            sync_directory(os.path.dirname(step.path))

    def _take_back(self, steps: list[Step]) -> None:
        _undo(steps)
        self._write("stage", [])

    # -- what was left behind ---------------------------------------------------------------------------------------

    def _recover(self) -> list[str]:
        """Finish a swap that was checked, take back one that was not, and clear away what was only staged."""
        entry = self._journal.read()
        if entry is None:
            return []
        steps = load_steps(entry.steps)
        finish = entry.phase == "commit" and any(step.happened() for step in steps)
        try:
            if finish:
                for step in steps:
                    with contextlib.suppress(FileNotFoundError):  # somebody has removed the program since
                        step.apply()
            elif entry.phase == "trial":
                _undo(steps)
        except OSError as error:
            what = f"{error.filename}: {error.strerror}"
            raise ConfigTreeError(
                f"an earlier run was killed in its swap, and clearing up after it failed: {what}"
            ) from error
        self._clean_up(entry)
        return entry.changed if finish else []

    def _clean_up(self, entry: Entry) -> None:
        self._reached("before clean-up")
        for workspace in entry.workspaces:
            shutil.rmtree(workspace, ignore_errors=True)
            self._reached("workspace removed")
        self._journal.remove()

    # -- small things -----------------------------------------------------------------------------------------------

    def _write(self, phase: str, steps: list[Step]) -> None:
        self._entry.phase, self._entry.steps = phase, dump_steps(steps)
        self._journal.write(self._entry)
        self._reached(f"{phase} written")

    def _roots(self) -> list[str]:
        return [self._wanted.root] if self._wanted.root else []

    def _refuse_unknown_names(self) -> None:
        if self._wanted.unknown_names:
            names = ", ".join(self._wanted.unknown_names)
            raise ConfigTreeError(f"the host has no {names}; create it or name another. Nothing was changed")

    def _state_in_words(self) -> str:
        if self._entry.phase == "trial":
            return "The swap could not be taken back at once; the next run does that first"
        return "Nothing was changed"


def _refusal(checker: Checker, verdict: Verdict) -> str:
    return f"`{' '.join(checker.argv)}` refuses the new configuration ({verdict.reason}):\n{verdict.output}"


def _undo(steps: list[Step]) -> None:
    for step in reversed(steps):
        with contextlib.suppress(FileNotFoundError):  # as above
            step.undo()
