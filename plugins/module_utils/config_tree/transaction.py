# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Compare, stage, check, swap; and what to do with a run that was killed in between."""

from __future__ import annotations

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
    """What a run did. ``how`` is `none`, `namespace`, `fallback` or `skipped`; ``swap`` `none`, `exchange` or `rename`."""

    changes: list[Change]
    recovered: list[str] = field(default_factory=list)
    how: str = "none"
    output: str = ""
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
            try:
                outcome = self._install(changes)
            except OSError as error:
                raise ConfigTreeError(
                    f"{error.filename or 'configuration'}: {error.strerror}. Nothing was changed"
                ) from error
            outcome.recovered = recovered
            return outcome

    def look(self) -> Outcome:
        """What `run` would do. The set is checked where that leaves no trace; it may need what is not there yet, so a
        refusal is a warning."""
        pending = self._journal.read()
        outcome = Outcome(make_plan(self._wanted), pending.changed if pending and pending.phase == "commit" else [])
        if not outcome.changes or self._checker is None:
            return outcome
        outcome.how = "skipped"
        if not self._checker.is_installed() or self._wanted.unknown_names:
            missing = ", ".join(self._wanted.unknown_names) or self._checker.argv[0]
            outcome.output = f"{missing} is not there yet"
            return outcome
        scratch = tempfile.mkdtemp(prefix="slipway-", dir="/run" if os.access("/run", os.W_OK) else None)
        try:
            staged = self._stage(outcome.changes, Stage(only_in=scratch))
            verdict = self._check_in_namespace(staged, scratch)
            outcome.how, outcome.output = "namespace", verdict.output
            outcome.warning = "" if verdict.passed else self._refusal(verdict)
        except NamespaceUnavailable as error:
            outcome.output = f"no mount namespace: {error}"
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        return outcome

    # -- the way of a run -------------------------------------------------------------------------------------------

    def _install(self, changes: list[Change]) -> Outcome:
        stage = Stage()
        self._entry.workspaces = sorted(
            {stage.workspace(path) for path in (*self._roots(), *(c.path for c in changes))}
        )
        self._entry.changed = [change.path for change in changes]
        self._journal.write(self._entry)
        try:
            self._reached("journal written")
            before = self._fingerprint()
            staged = self._stage(changes, stage)
            self._reached("staged")
            how, verdict = self._check_first(staged)
            if how == "fallback":
                staged = stage.one_by_one(changes) if staged.swap == "exchange" else staged
                verdict = self._try_live(staged)
            else:
                if staged.swap == "exchange" and self._fingerprint() != before:
                    raise ConfigTreeError(
                        f"{self._wanted.root}: somebody else changed it meanwhile; run again. Nothing was changed"
                    )
                staged = self._swap(staged, stage, changes)
        finally:
            self._clean_up(self._entry)
        return Outcome(changes, how=how, output=verdict.output, swap=staged.swap)

    def _stage(self, changes: list[Change], stage: Stage) -> Staged:
        """As one tree when more than one of the root's files change: a single rename is atomic by itself."""
        root = self._wanted.root
        many = sum(self._wanted.inside_root(change.path) and not change.is_directory for change in changes) > 1
        if root and many and can_be_exchanged(root):
            return stage.as_tree(root, changes)
        return stage.one_by_one(changes)

    def _check_first(self, staged: Staged) -> tuple[str, Verdict]:
        """Check the staged set. Answers `fallback` when the host does not let it be checked before it is swapped."""
        if self._checker is None:
            return "none", Verdict(True, "")
        if not self._checker.is_installed():
            raise ConfigTreeError(
                f"validate: {self._checker.argv[0]} is not installed; install it before its configuration. Nothing was changed"
            )
        scratch = os.path.join(self._options.state, "view")
        os.makedirs(scratch, mode=0o700, exist_ok=True)
        try:
            verdict = self._check_in_namespace(staged, scratch)
        except NamespaceUnavailable as error:
            if self._options.require_namespace:
                raise ConfigTreeError(
                    f"the set cannot be checked before it is live ({error}), and require_namespace is set. Nothing was changed"
                ) from error
            return "fallback", Verdict(True, "")
        if not verdict.passed:
            raise ConfigTreeError(f"{self._refusal(verdict)}\nNothing was changed")
        return "namespace", verdict

    def _check_in_namespace(self, staged: Staged, scratch: str) -> Verdict:
        assert self._checker  # noqa: S101 - the callers have looked
        return run_with_view(staged.view, scratch, self._checker.run)

    def _try_live(self, staged: Staged) -> Verdict:
        """Swap, check the live paths, and swap back when the checker refuses them."""
        assert self._checker  # noqa: S101 - the caller has looked
        self._write("trial", staged.steps)
        try:
            self._apply(staged.steps)
            verdict = self._checker.run()
            if not verdict.passed:
                raise ConfigTreeError(f"{self._refusal(verdict)}\nThe old set is back in place")
        except BaseException:
            _undo(staged.steps)
            raise
        self._write("commit", staged.steps)
        return verdict

    def _swap(self, staged: Staged, stage: Stage, changes: list[Change]) -> Staged:
        try:
            self._commit(staged.steps)
        except OSError as error:
            if staged.swap != "exchange" or error.errno not in _CANNOT_EXCHANGE:
                raise
            staged = stage.one_by_one(changes)
            self._commit(staged.steps)
        return staged

    def _commit(self, steps: list[Step]) -> None:
        self._write("commit", steps)
        try:
            self._apply(steps)
        except BaseException:
            _undo(steps)
            self._write("stage", [])
            raise

    def _apply(self, steps: list[Step]) -> None:
        for number, step in enumerate(steps):
            self._reached(f"before step {number}")
            step.apply()
        self._reached("swapped")
        for workspace in self._entry.workspaces:
            sync_directory(os.path.dirname(workspace))

    # -- what was left behind ---------------------------------------------------------------------------------------

    def _recover(self) -> list[str]:
        """Finish a swap that was checked, take back one that was not, and clear away what was only staged."""
        entry = self._journal.read()
        if entry is None:
            return []
        steps = load_steps(entry.steps)
        finished = entry.phase == "commit" and any(step.happened() for step in steps)
        if finished:
            for step in steps:
                step.apply()
        elif entry.phase == "trial":
            _undo(steps)
        self._clean_up(entry)
        return entry.changed if finished else []

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

    def _fingerprint(self) -> set[tuple[str, int]]:
        return fingerprint(self._wanted.root) if self._wanted.root else set()

    def _refuse_unknown_names(self) -> None:
        if self._wanted.unknown_names:
            raise ConfigTreeError(
                f"the host has no {', '.join(self._wanted.unknown_names)}; create it or name another. Nothing was changed"
            )

    def _refusal(self, verdict: Verdict) -> str:
        assert self._checker  # noqa: S101 - only a checker gives a verdict
        return f"`{' '.join(self._checker.argv)}` refuses the new configuration ({verdict.reason}):\n{verdict.output}"


def _undo(steps: list[Step]) -> None:
    for step in reversed(steps):
        step.undo()
