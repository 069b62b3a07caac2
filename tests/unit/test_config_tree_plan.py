"""What `config_tree` wants, what differs, and how it tells that."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.diff import make_diff
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.model import (
    ConfigTreeError,
    pack_contents,
    unpack_contents,
)
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.plan import make_plan
from ansible_collections.slipway.ops.plugins.module_utils.config_tree.request import read_request
from config_tree_set import directory, file, wanted


def changed(*arguments, **more):
    return [Path(change.path).name for change in make_plan(wanted(*arguments, **more))]


def told(*arguments, **more):
    return make_diff(make_plan(wanted(*arguments, **more)))


@pytest.fixture
def root(tmp_path):
    place = tmp_path / "etc" / "program"
    place.mkdir(parents=True)
    return place


def put(path, content, mode=0o644):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    path.chmod(mode)


def test_contents_survive_packing():
    contents = [b"", "글\n".encode(), bytes(range(256))]
    assert unpack_contents(pack_contents(contents)) == contents


def test_what_is_as_wanted_is_no_change(root):
    put(root / "main.conf", "a")
    (root / "sub").mkdir(0o755)
    assert changed(root, file("main.conf", "a"), directories=(directory("sub"),)) == []


def test_content_mode_and_absence_are_changes(root):
    for name in ("same", "content", "mode"):
        put(root / name, "a")
    files = [file("same", "a"), file("content", "b"), file("mode", "a", "0600"), file("absent", "a")]
    assert changed(root, *files) == ["absent", "content", "mode"]  # new ones first


def test_missing_directories_come_first_from_the_top(root):
    assert changed(root, file("x/y/main.conf", "a")) == ["x", "y", "main.conf"]


def test_strays_are_files_and_links_of_owned_directories_only(root):
    for name in ("sites/a", "sites/stray", "sites/kept/b", "other/c"):
        put(root / name, "")
    (root / "sites/link").symlink_to("a")
    directories = (directory("sites", owned=True), directory("other"))
    assert changed(root, file("sites/a"), directories=directories) == ["link", "stray"]


def test_link_is_compared_by_its_target(root):
    (root / "one").symlink_to("a")
    (root / "two").symlink_to("b")
    assert changed(root, file("one", link="a"), file("two", link="a")) == ["two"]


def test_a_live_link_where_a_file_is_wanted_is_a_change(root):
    put(root / "target", "a")
    (root / "main.conf").symlink_to("target")
    assert changed(root, file("main.conf", "a")) == ["main.conf"]


def test_paths_through_a_linked_directory_are_outside_of_the_root(root):
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (root / "sites").symlink_to(elsewhere)
    what = wanted(root, file("sites/a"))
    assert what.files[0].path == str(elsewhere / "a")
    assert not what.inside_root(what.files[0].path)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([file("a"), file("./a")], "listed twice"),
        ([file("../a")], "leaves the root"),
        ([file("a", mode="rw")], "octal"),
        ([file("a"), file("a/b")], "cannot be a file and hold"),
    ],
)
def test_bad_sets_are_refused_by_name(root, files, message):
    with pytest.raises(ConfigTreeError, match=message):
        wanted(root, *files)


def test_relative_paths_need_a_root():
    with pytest.raises(ConfigTreeError, match="without `root` every path is absolute"):
        wanted(None, file("a"))


@pytest.mark.parametrize("root", ["/", "relative"])
def test_nonsense_roots_are_refused(root):
    with pytest.raises(ConfigTreeError, match="not an absolute path"):
        wanted(Path(root), file("a"))


def test_unknown_users_are_named(root):
    what = wanted(root, file("a", owner="no-such-user", group="no-such-group"))
    assert what.unknown_names == ("user no-such-user", "group no-such-group")


def test_a_directory_in_a_files_place_is_refused(root):
    (root / "main.conf").mkdir()
    with pytest.raises(ConfigTreeError, match="a directory is there"):
        make_plan(wanted(root, file("main.conf")))


def test_diff_has_content_before_and_after(root):
    put(root / "main.conf", "old\n")
    assert told(root, file("main.conf", "new\n")) == [
        {
            "before": "old\n",
            "after": "new\n",
            "before_header": str(root / "main.conf"),
            "after_header": str(root / "main.conf"),
        }
    ]


def test_diff_tells_owner_and_mode_in_words(root):
    put(root / "main.conf", "a", 0o600)
    [entry] = told(root, file("main.conf", "a", "0640"))
    assert " 0600 becomes " in entry["prepared"]
    assert entry["prepared"].endswith(" 0640\n")


def test_diff_never_has_a_secret(root):
    put(root / "key", "old-secret", 0o600)
    assert "old-secret" not in str(told(root, file("key", "new-secret", "0600", secret=True)))
    assert "new-secret" not in str(told(root, file("key", "new-secret", "0600", secret=True)))


def test_diff_hides_removed_files_that_not_everybody_may_read(root):
    put(root / "keys/a", "old-secret", 0o600)
    put(root / "keys/b", "known\n")
    entries = told(root, directories=(directory("keys", owned=True),))
    assert "old-secret" not in str(entries)
    assert "known" in str(entries)


def test_diff_of_large_and_binary_content_is_its_size(root):
    put(root / "large", "a" * 200_000)
    assert "200000 bytes become 1 bytes" in told(root, file("large", "b"))[0]["prepared"]
    assert "content not shown" in told(root, file("binary", "\0"))[0]["prepared"]


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"fils": []}, "unknown key 'fils'; did you mean files"),
        ({"files": "a"}, "files is not a list"),
        ({"files": [{"content": "x"}]}, "a mapping with a `path`"),
        ({"files": [{"path": "a.conf", "contents": "x"}]}, "a.conf: unknown key 'contents'; did you mean content"),
        ({"files": [{"path": "a.conf"}]}, "a.conf: give exactly one of .* not none"),
        ({"files": [{"path": "a.conf", "content": "", "src": "b"}]}, "a.conf: .* not content and src"),
        ({"files": [{"path": "a.conf", "content": {"a": 1}}]}, "a.conf: content is not text"),
        ({"files": [{"path": "a.conf", "content": "", "mode": 0o644}]}, "a.conf: mode 420 is a number"),
        ({"files": [{"path": "a.conf", "content": "", "vars": {}}]}, "a.conf: vars are for a template"),
        ({"files": [{"path": "a", "content": ""}], "directories": [{"path": "a"}]}, "a: is listed twice"),
    ],
)
def test_bad_tasks_are_refused_by_name(args, message):
    with pytest.raises(ConfigTreeError, match=message):
        read_request(args)


def test_null_is_as_if_not_given():
    files, directories = read_request({"files": [{"path": "a", "content": "", "src": None}], "directories": None})
    assert files == [{"path": "a", "content": ""}]
    assert directories == []
