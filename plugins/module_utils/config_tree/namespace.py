# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Private mount namespaces and the atomic exchange of two directories, which Python 3.10 has no names for."""

from __future__ import annotations

import ctypes
import os
import stat
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

_CLONE_NEWNS = 0x20000
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_AT_FDCWD, _RENAME_EXCHANGE = -100, 2

_libc = ctypes.CDLL(None, use_errno=True)

Answer = TypeVar("Answer")


class NamespaceUnavailable(Exception):
    """This process may not make a mount namespace, or the change cannot be shown in one."""


def exchange(one: str, other: str) -> None:
    """Let two paths of one file system trade places in one step: no moment without either of them."""
    _call("renameat2", _AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE, about=one)


def mount_points() -> list[str]:
    """Paths of all mounts that this process sees."""
    with open("/proc/self/mountinfo", "rb") as stream:
        fields = [line.split(b" ")[4] for line in stream]
    return [os.fsdecode(field.decode("unicode_escape").encode("latin-1")) for field in fields]


def run_with_view(view: Mapping[str, str | None], scratch: str, function: Callable[[], Answer]) -> Answer:
    """Call the function where each path of `view` shows the file or directory it maps to, or nothing (None).

    Only the function, and processes that it starts, see that. A thread has a mount namespace of its own, which ends
    with the thread, so this process needs no way back. `scratch` is an empty directory to mount on.
    """

    def in_thread() -> Answer:
        try:
            _call("unshare", _CLONE_NEWNS, about="mount namespace")
            _mount(None, "/", None, _MS_REC | _MS_PRIVATE)
            _show(view, scratch)
        except OSError as error:
            raise NamespaceUnavailable(str(error)) from error
        return function()

    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(in_thread).result()


def _show(view: Mapping[str, str | None], scratch: str) -> None:
    rebuilt: dict[str, dict[str, str | None]] = {}
    for path, shown in view.items():
        if shown is not None and _can_be_covered(path, shown):
            _mount(shown, path, None, _MS_BIND | _MS_REC)
        else:
            rebuilt.setdefault(_existing_above(path), {})[path] = shown
    if rebuilt:
        _mount("tmpfs", scratch, "tmpfs", 0)
    for number, (directory, entries) in enumerate(sorted(rebuilt.items())):
        if directory == "/":
            raise NamespaceUnavailable(f"a new entry of / cannot be shown there: {', '.join(entries)}")
        copy = os.path.join(scratch, str(number))
        _rebuild(directory, copy, entries)
        _mount(copy, directory, None, _MS_BIND | _MS_REC)


def _can_be_covered(path: str, shown: str) -> bool:
    """A mount can cover what is there already, of the same type, and not a link."""
    kinds = [stat.S_IFMT(os.lstat(each).st_mode) if os.path.lexists(each) else 0 for each in (path, shown)]
    return kinds[0] == kinds[1] and kinds[0] in (stat.S_IFREG, stat.S_IFDIR)


def _existing_above(path: str) -> str:
    above = os.path.dirname(path)
    while not os.path.isdir(above):
        above = os.path.dirname(above)
    return above


def _rebuild(directory: str, copy: str, entries: Mapping[str, str | None]) -> None:
    """Make `copy` look like the directory, every entry the live one by a mount, with `entries` put in their places."""
    _make_like(directory, copy)
    for entry in os.scandir(directory):
        if entry.path not in entries:
            _place(entry.path, os.path.join(copy, entry.name))
    for path, shown in entries.items():
        if shown is not None:
            place = os.path.join(copy, os.path.relpath(path, directory))
            os.makedirs(os.path.dirname(place), exist_ok=True)
            _place(shown, place)


def _place(source: str, place: str) -> None:
    if os.path.islink(source):
        os.symlink(os.readlink(source), place)
        return
    if os.path.isdir(source):
        os.makedirs(place, exist_ok=True)
    else:
        os.close(os.open(place, os.O_CREAT, 0o600))
    _mount(source, place, None, _MS_BIND | _MS_REC)


def _make_like(directory: str, copy: str) -> None:
    status = os.stat(directory)
    os.mkdir(copy)
    os.chown(copy, status.st_uid, status.st_gid)
    os.chmod(copy, stat.S_IMODE(status.st_mode))


def _mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    _call("mount", *encoded, ctypes.c_ulong(flags), None, about=target)


def _call(name: str, *arguments: object, about: str) -> None:
    if getattr(_libc, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}", about)
