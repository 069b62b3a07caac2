"""Sets that are staged, checked in a mount namespace and swapped."""

from __future__ import annotations

import errno
import os
import subprocess
import threading
from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.config_tree import namespace, stage, steps
from ansible_collections.slipway.ops.plugins.module_utils.config_tree import transaction as subject
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import ConfigTreeError
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.namespace import NamespaceUnavailable
from config_tree_set import directory, file, shell_checker, snapshot, transaction, wanted

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="mount namespaces need root")


@pytest.fixture
def root(tmp_path):
    """A program's directory with two managed files, one foreign file of another owner, and a link."""
    place = tmp_path / "etc" / "program"
    (place / "sites").mkdir(parents=True)
    for name in ("main.conf", "sites/a.conf"):
        (place / name).write_text("old\n")
        (place / name).chmod(0o644)
    (place / "foreign").write_text("foreign\n")
    os.chown(place / "foreign", 1, 2)
    (place / "foreign").chmod(0o4750)
    (place / "link").symlink_to("../program/foreign")
    return place


def new_set(root, *more, **options):
    return wanted(root, file("main.conf", "new\n"), file("sites/a.conf", "new\n"), *more, **options)


def no_namespace(*_):
    raise NamespaceUnavailable("unshare: Operation not permitted")


def names_in(place):
    return sorted(path.name for path in place.iterdir())


def leftovers(tmp_path):
    journal = tmp_path / "state" / "journal.json"
    return [*tmp_path.rglob(stage.WORKSPACE), *([journal] if journal.exists() else [])]


def test_many_changes_exchange_the_whole_directory(tmp_path, root):
    before = snapshot(tmp_path)
    inode = root.stat().st_ino
    outcome = transaction(tmp_path, new_set(root), "true").run()
    assert (outcome.swap, outcome.how) == ("exchange", "namespace")
    assert root.stat().st_ino != inode
    after = snapshot(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {
        "etc/program/main.conf",
        "etc/program/sites/a.conf",
    }
    assert set(after) == set(before)
    assert leftovers(tmp_path) == []
    assert transaction(tmp_path, new_set(root), "false").run().changes == []


def test_one_change_is_one_rename(tmp_path, root):
    inode = root.stat().st_ino
    outcome = transaction(tmp_path, wanted(root, file("main.conf", "new\n")), "true").run()
    assert outcome.swap == "rename"
    assert root.stat().st_ino == inode
    assert (root / "main.conf").read_text() == "new\n"


def test_checker_sees_the_new_set_at_its_real_paths_and_live_stays(tmp_path, root):
    outside, gone = tmp_path / "units/program.d/limits.conf", root / "sites/stray"
    gone.write_text("")
    what = new_set(root, file(outside, "outside\n"), directories=(directory("sites", owned=True),))
    script = f"cat {root}/main.conf {root}/sites/a.conf {root}/foreign {outside}; test ! -e {gone} && echo gone; exit 3"
    before = snapshot(tmp_path)
    with pytest.raises(ConfigTreeError) as refusal:
        transaction(tmp_path, what, script).run()
    assert "new\nnew\nforeign\noutside\ngone" in str(refusal.value)
    assert "exit code 3" in str(refusal.value)
    assert str(refusal.value).endswith("Nothing was changed")
    assert snapshot(tmp_path) == before
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("name", ["existing", "absent", "linked"])
def test_single_files_without_a_root_are_checked_too(tmp_path, name):
    shared = tmp_path / "sysctl.d"
    shared.mkdir()
    (shared / "existing").write_text("old")
    (shared / "linked").symlink_to("existing")
    (shared / "neighbour").write_text("neighbour")
    script = f"cat {shared}/{name} {shared}/neighbour; exit 1"
    before = snapshot(tmp_path)
    with pytest.raises(ConfigTreeError, match="newneighbour"):
        transaction(tmp_path, wanted(None, file(shared / name, "new")), script).run()
    assert snapshot(tmp_path) == before
    outcome = transaction(tmp_path, wanted(None, file(shared / name, "new")), f"grep -q new {shared}/{name}").run()
    assert (outcome.how, outcome.swap) == ("namespace", "rename")
    assert (shared / name).read_text() == "new"
    assert not (shared / name).is_symlink()
    assert leftovers(tmp_path) == []


def test_strays_of_a_shared_directory_are_gone_for_the_checker(tmp_path):
    shared = tmp_path / "conf.d"
    shared.mkdir()
    (shared / "stray").write_text("")
    what = wanted(None, file(shared / "kept", "new"), directories=(directory(shared, owned=True),))
    transaction(tmp_path, what, f"test ! -e {shared}/stray && test -e {shared}/kept").run()
    assert [path.name for path in shared.iterdir()] == ["kept"]


def test_root_that_is_not_there_is_one_rename(tmp_path):
    root = tmp_path / "opt" / "program"
    what = wanted(root, file("main.conf", "new"), file("sub/a.conf", "new", "0600"))
    outcome = transaction(tmp_path, what, f"grep new {root}/main.conf {root}/sub/a.conf").run()
    assert outcome.swap == "rename"
    assert (root / "sub/a.conf").stat().st_mode & 0o777 == 0o600
    assert root.stat().st_mode & 0o777 == 0o755
    assert leftovers(tmp_path) == []


def test_empty_new_directories_are_shown_to_the_checker(tmp_path, root):
    what = wanted(root, directories=(directory("spool", "0750"),))
    transaction(tmp_path, what, f'test "$(stat -c %a {root}/spool)" = 750').run()
    assert (root / "spool").stat().st_mode & 0o777 == 0o750


def test_the_root_itself_can_have_an_owner_and_a_mode(tmp_path):
    root = tmp_path / "private"
    for mode in ("0700", "0750"):
        files = (file("a", mode), file("b", mode))
        transaction(tmp_path, wanted(root, *files, directories=(directory(".", mode),))).run()
        assert f"{root.stat().st_mode & 0o7777:04o}" == mode


def test_links_are_staged_and_swapped(tmp_path, root):
    what = new_set(root, file("enabled", link="sites/a.conf"), file("link", link="sites"))
    transaction(tmp_path, what, f"grep new {root}/enabled && test -d {root}/link/").run()
    assert (root / "enabled").readlink() == Path("sites/a.conf")
    assert (root / "link").readlink() == Path("sites")


def test_extended_attributes_stay(tmp_path, root):
    for path in (root, root / "main.conf", root / "foreign"):
        os.setxattr(path, "user.note", b"kept")
    transaction(tmp_path, new_set(root)).run()
    assert {os.getxattr(path, "user.note") for path in (root, root / "main.conf", root / "foreign")} == {b"kept"}


def test_mode_alone_does_not_touch_the_old_file(tmp_path, root):
    with (root / "main.conf").open() as opened:
        what = wanted(root, file("main.conf", "old\n", "0600"), file("sites/a.conf", "old\n", "0600"))
        transaction(tmp_path, what).run()
        assert os.fstat(opened.fileno()).st_mode & 0o777 == 0o644
    assert (root / "main.conf").stat().st_mode & 0o777 == 0o600


def test_a_mount_inside_the_root_stays_where_it_is(tmp_path, root):
    def in_own_namespace():
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", root / "sites"], check=True)
        outcome = transaction(tmp_path, new_set(root), f"grep new {root}/sites/a.conf").run()
        return outcome.swap, os.path.ismount(root / "sites"), (root / "sites/a.conf").read_text()

    # /proc/self is the process, whose mounts a thread's own namespace does not change.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "mount_points", lambda: [str(root / "sites")])
        (tmp_path / "scratch").mkdir()
        assert namespace.run_with_view({}, str(tmp_path / "scratch"), in_own_namespace) == ("rename", True, "new\n")


@pytest.mark.parametrize("reason", [errno.EXDEV, errno.EBUSY])
def test_where_an_exchange_is_impossible_files_are_renamed(tmp_path, root, monkeypatch, reason):
    def refuse(*_):
        raise OSError(reason, "no")

    monkeypatch.setattr(steps, "exchange", refuse)
    outcome = transaction(tmp_path, new_set(root), "true").run()
    assert outcome.swap == "rename"
    assert (root / "sites/a.conf").read_text() == "new\n"
    assert leftovers(tmp_path) == []


def test_without_namespaces_a_good_set_stays(tmp_path, root, monkeypatch):
    monkeypatch.setattr(subject, "run_with_view", no_namespace)
    outcome = transaction(tmp_path, new_set(root), f"grep -q new {root}/main.conf").run()
    assert (outcome.how, outcome.swap) == ("fallback", "rename")
    assert "Operation not permitted" in outcome.reason
    assert (root / "main.conf").read_text() == "new\n"
    assert leftovers(tmp_path) == []


def test_without_namespaces_a_bad_set_is_taken_back(tmp_path, root, monkeypatch):
    monkeypatch.setattr(subject, "run_with_view", no_namespace)
    (root / "sites/stray").write_text("")
    before = snapshot(tmp_path)
    what = new_set(root, file("extra/b.conf", "new\n"), directories=(directory("sites", "0700", owned=True),))
    with pytest.raises(ConfigTreeError, match="The old set is back in place"):
        transaction(tmp_path, what, f"test ! -e {root}/sites/stray && echo seen; exit 1").run()
    assert snapshot(tmp_path) == before
    assert leftovers(tmp_path) == []


def test_require_namespace_refuses_the_fallback(tmp_path, root, monkeypatch):
    monkeypatch.setattr(subject, "run_with_view", no_namespace)
    before = snapshot(tmp_path)
    with pytest.raises(ConfigTreeError, match="require_namespace is set"):
        transaction(tmp_path, new_set(root), "true", require_namespace=True).run()
    assert snapshot(tmp_path) == before


def test_an_error_in_the_middle_of_a_swap_takes_it_back(tmp_path, root):
    before = snapshot(tmp_path)
    outside = tmp_path / "units" / "a.conf"

    def reached(point):
        if point == "swapped":
            raise OSError(errno.EIO, "Input/output error", "disk")

    with pytest.raises(ConfigTreeError, match="disk: Input/output error"):
        transaction(tmp_path, new_set(root, file(outside, "new")), "true", reached=reached).run()
    assert snapshot(tmp_path) == before
    assert leftovers(tmp_path) == []


def test_a_checker_that_hangs_is_killed(tmp_path, root):
    what = new_set(root)
    hanging = subject.Transaction(
        what, shell_checker("echo waiting; sleep 60", 3), subject.Options(state=str(tmp_path / "state"))
    )
    with pytest.raises(ConfigTreeError, match=r"no answer within 3 s\):\nwaiting"):
        hanging.run()
    assert (root / "main.conf").read_text() == "old\n"


def test_checker_output_is_short_and_without_secrets(tmp_path, root):
    what = new_set(root, file("key", "user:hunter2secret\n", "0600", secret=True))
    checker = shell_checker(f"seq 10000; cat {root}/key; exit 1", hidden=what.files)
    with pytest.raises(ConfigTreeError) as refusal:
        subject.Transaction(what, checker, subject.Options(state=str(tmp_path / "state"))).run()
    assert "hunter2secret" not in str(refusal.value)
    assert len(str(refusal.value)) < 4500


def test_a_checker_that_is_not_installed(tmp_path, root):
    what = new_set(root)
    checker = subject.Checker(["no-such-program", "-t"], 5)
    options = subject.Options(state=str(tmp_path / "state"))
    with pytest.raises(ConfigTreeError, match="no-such-program is not installed"):
        subject.Transaction(what, checker, options).run()
    looked = subject.Transaction(what, checker, options).look()
    assert (looked.how, looked.reason) == ("skipped", "no-such-program is not there yet")
    assert (root / "main.conf").read_text() == "old\n"


def test_unknown_user_is_refused_in_a_run_and_not_in_check_mode(tmp_path, root):
    what = new_set(root, file("extra", owner="no-such-user"))
    with pytest.raises(ConfigTreeError, match="the host has no user no-such-user"):
        transaction(tmp_path, what, "true").run()
    assert transaction(tmp_path, what, "true").look().how == "skipped"


def test_check_mode_checks_and_leaves_no_trace(tmp_path, root):
    before = snapshot(tmp_path)
    outside = tmp_path / "units" / "a.conf"
    what = new_set(root, file(outside, "new"))
    script = f"cat {root}/main.conf {outside}"
    looked = transaction(tmp_path, what, script + "; exit 1").look()
    assert looked.how == "namespace"
    assert "refuses the new configuration" in looked.warning
    assert "new\nnew" in looked.warning
    assert transaction(tmp_path, what, script).look().warning == ""
    assert snapshot(tmp_path) == before
    assert not (tmp_path / "state").exists()


def test_full_disk_while_staging_changes_nothing(tmp_path):
    def on_a_small_disk():
        small = tmp_path / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], check=True)
        root = small / "etc" / "program"
        root.mkdir(parents=True)
        (root / "main.conf").write_text("old\n")
        what = wanted(root, file("main.conf", "new\n"), file("large", "x" * 100_000))
        with pytest.raises(ConfigTreeError) as full:
            transaction(tmp_path, what, "true").run()
        return str(full.value), names_in(root), (root / "main.conf").read_text(), names_in(small / "etc")

    (tmp_path / "scratch").mkdir()
    message, names, content, beside = namespace.run_with_view({}, str(tmp_path / "scratch"), on_a_small_disk)
    assert "large: cannot be staged" in message
    assert "No space left on device. Nothing was changed" in message
    assert (names, content, beside) == (["main.conf"], "old\n", ["program"])


def test_what_lies_about_in_the_workspace_is_in_nobodys_way(tmp_path, root):
    stale = root.parent / stage.WORKSPACE
    (stale / "0/sub").mkdir(parents=True)
    (stale / "1").write_text("stale")
    transaction(tmp_path, new_set(root), f"grep new {root}/main.conf").run()
    assert leftovers(tmp_path) == []


def test_special_files_in_the_root_are_no_obstacle(tmp_path, root):
    os.mkfifo(root / "pipe")
    assert transaction(tmp_path, new_set(root), "true").look().warning == ""
    assert transaction(tmp_path, new_set(root), f"test -p {root}/pipe").run().swap == "exchange"


def test_a_foreign_change_while_staging_is_not_lost(tmp_path, root):
    def reached(point):
        if point == "staged":
            (root / "renewed").write_text("by somebody else")

    with pytest.raises(ConfigTreeError, match="changed while it was staged; run again"):
        transaction(tmp_path, new_set(root), "true", reached=reached).run()
    assert (root / "renewed").exists()
    assert (root / "main.conf").read_text() == "old\n"


def test_writing_into_a_foreign_file_while_staging_is_not_lost(tmp_path, root):
    def reached(point):
        if point == "staged":
            (root / "foreign").write_text("written meanwhile")

    transaction(tmp_path, new_set(root), "true", reached=reached).run()
    assert (root / "foreign").read_text() == "written meanwhile"


def test_two_runs_at_once_follow_each_other(tmp_path, root):
    names = [str(number) for number in range(6)]
    outcomes = []

    def one_run(name):
        what = wanted(root, file("main.conf", name), file("sites/a.conf", name), file("b.conf", name))
        script = f'test "$(cat {root}/main.conf {root}/sites/a.conf {root}/b.conf)" = {name * 3}'
        outcomes.append(transaction(tmp_path, what, script, lock_timeout=60).run().swap)

    threads = [threading.Thread(target=one_run, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == ["exchange"] * 6
    contents = {(root / name).read_text() for name in ("main.conf", "sites/a.conf", "b.conf")}
    assert len(contents) == 1
    assert contents <= set(names)


def test_a_run_that_waits_too_long_says_so(tmp_path, root):
    def meanwhile(point):
        if point == "staged":
            with pytest.raises(ConfigTreeError, match="another config_tree run holds"):
                transaction(tmp_path, wanted(root, file("b.conf")), lock_timeout=0.1).run()

    transaction(tmp_path, new_set(root), reached=meanwhile).run()
    assert not (root / "b.conf").exists()


def test_readers_never_miss_the_root_or_see_a_mix(tmp_path, root):
    """A reader that opens the directory once sees one set, whatever happens meanwhile."""
    seen, stop = set(), threading.Event()

    def read():
        while not stop.is_set():
            held = os.open(root, os.O_RDONLY)
            parts = []
            for name in ("main.conf", "sites/a.conf"):
                descriptor = os.open(name, os.O_RDONLY, dir_fd=held)
                parts.append(os.read(descriptor, 10))
                os.close(descriptor)
            os.close(held)
            seen.add(tuple(parts))

    def keep_old(entry, *_args, **_kwargs):
        """The old tree is cleared away at the end of a run; a slow reader would find it emptied."""

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject.shutil, "rmtree", keep_old)
        reader = threading.Thread(target=read)
        reader.start()
        transaction(tmp_path, new_set(root), "true").run()
        stop.set()
        reader.join()
    assert seen <= {(b"old\n", b"old\n"), (b"new\n", b"new\n")}
