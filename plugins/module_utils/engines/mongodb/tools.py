# Copyright: Slipway contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``mongodump``, ``mongorestore`` and ``age``, one piped into the other, and what they say.

A server's URI, with its password, is in a file that root alone can read, never in an argument or the environment.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import tempfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, cast
from urllib.parse import urlsplit, urlunsplit

from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb import MongodbError
from ansible_collections.slipway.ops.plugins.module_utils.engines.mongodb.archive import Collection, read
from ansible_collections.slipway.ops.plugins.module_utils.host.run import environment

_LONGEST = 1500  # characters of what a tool says
_STAMP = re.compile(r"^\d{4}-\d\d-\d\dT\S+\s+")
_SECRET = re.compile(r"(mongodb(?:\+srv)?://[^:@/\s]+:)[^@\s]+@")
_FAILED = re.compile(r"(\d+) document\(s\) failed to restore")
_RESTORED = re.compile(r"(\d+) document\(s\) restored successfully")


def uri_of(secrets: Path) -> str:
    """The server's URI of the file that the role left."""
    try:
        return str(json.loads(secrets.read_text(encoding="utf-8"))["uri"])
    except (OSError, ValueError, KeyError) as error:
        raise MongodbError(f"{secrets} cannot be read ({error}); run the role mongodump again") from error


@contextmanager
def tool_config(uri: str) -> Iterator[str]:
    """A configuration file for the tools, with the mode 0600, for as long as the block lasts."""
    with tempfile.NamedTemporaryFile("w", prefix="slipway-mongo-", suffix=".yml", encoding="utf-8") as file:
        file.write(f"uri: {json.dumps(for_tools(uri))}\n")
        file.flush()
        yield file.name


def for_tools(uri: str) -> str:
    """The URI as the tools take it beside ``--db``: without a database, which says where the user is known instead.

    Drivers look for a user in ``admin`` when nothing else is said; the tools would in the database that they dump.
    """
    parts = urlsplit(uri)
    external = re.search(r"(?i)authsource=|authmechanism=(mongodb-(x509|aws)|gssapi|plain)", parts.query)
    source = "" if external or "@" not in parts.netloc else f"authSource={parts.path.strip('/') or 'admin'}"
    query = "&".join(filter(None, (parts.query, source)))
    return urlunsplit((parts.scheme, parts.netloc, "/", query, ""))


def run_pipe(commands: Sequence[Sequence[str]], source: Path | None = None, sink: Path | None = None) -> str:
    """Pipes programs into each other, from a file or into one. Returns what the last one that speaks said.

    Any that fails fails all; the one that the others' failures come from is told first.
    """
    with ExitStack() as stack:
        first = stack.enter_context(source.open("rb")) if source else subprocess.DEVNULL
        last = stack.enter_context(sink.open("xb")) if sink else subprocess.DEVNULL
        running, logs = _start_all(stack, commands, first, last)
        codes = [process.wait() for process in running]
        said = [_said(log) for log in logs]
        _sync(last)
    judge(commands, codes, said)
    return "\n".join(said)


def judge(commands: Sequence[Sequence[str]], codes: Sequence[int], said: Sequence[str]) -> None:
    """MongodbError when one ended wrongly, or said that documents failed, whatever its exit status.

    A program that wrote into one that had ended was killed by that (SIGPIPE): it is not the cause.
    """
    wrong = [at for at, code in enumerate(codes) if code] or [at for at, text in enumerate(said) if failed(text)]
    if not wrong:
        return
    cause = next((at for at in wrong if codes[at] != -13 and "broken pipe" not in said[at]), wrong[0])
    name = Path(commands[cause][0]).name
    how = f"ended with status {codes[cause]}" if codes[cause] else "ended as if all were well"
    raise MongodbError(f"{name} {how}; it says: {gist(said[cause]) or 'nothing'}")


def failed(said: str) -> int:
    """Documents that mongorestore could not restore. It ends with 0 in spite of them."""
    return sum(map(int, _FAILED.findall(said)))


def restored(said: str) -> int:
    """Documents that mongorestore restored."""
    return sum(map(int, _RESTORED.findall(said)))


def gist(said: str) -> str:
    """The lines that say what went wrong, without moments and passwords."""
    lines = [_STAMP.sub("", line).strip() for line in said.splitlines() if line.strip()]
    telling = [line for line in lines if re.search("fail|error|refused|unknown|cannot|not |no ", line, re.IGNORECASE)]
    return _SECRET.sub(r"\1***@", "; ".join(dict.fromkeys((telling or lines)[-4:])))[-_LONGEST:]


def contents(
    commands: Sequence[Sequence[str]], source: Path | None = None, packed: bool = True
) -> dict[str, Collection]:
    """What is in the archive that programs write, from a file when one is given."""
    with ExitStack() as stack:
        first = stack.enter_context(source.open("rb")) if source else subprocess.DEVNULL
        running, logs = _start_all(stack, commands, first, subprocess.PIPE)
        output = cast(BinaryIO, running[-1].stdout)
        trouble: MongodbError | None = None
        found: dict[str, Collection] = {}
        try:
            found = read(cast(BinaryIO, gzip.GzipFile(fileobj=output)) if packed else output)
            output.read()
        except MongodbError as error:
            trouble = error
        except (EOFError, OSError, zlib.error) as error:
            trouble = MongodbError(f"the archive cannot be unpacked ({error}): it is damaged or truncated")
        output.close()
        codes, said = [process.wait() for process in running], [_said(log) for log in logs]
    if any(code not in (0, -13) for code in codes):
        judge(commands, codes, said)
    if trouble:
        raise trouble
    judge(commands, codes, said)
    return found


def _start_all(
    stack: ExitStack, commands: Sequence[Sequence[str]], first: Any, last: Any
) -> tuple[list[subprocess.Popen[bytes]], list[IO[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []
    logs: list[IO[bytes]] = []
    for position, argv in enumerate(commands):
        logs.append(stack.enter_context(tempfile.TemporaryFile()))  # noqa: SIM115
        output = last if position == len(commands) - 1 else subprocess.PIPE
        try:
            process = subprocess.Popen(
                list(argv), stdin=first, stdout=output, stderr=logs[-1], cwd="/", env=environment(), close_fds=True
            )
        except FileNotFoundError as error:
            for one in running:
                one.kill()
            raise MongodbError(f"{argv[0]} is not installed on this host: run the role mongodump") from error
        stack.callback(_end, process)
        if position:
            cast(IO[bytes], running[-1].stdout).close()
        running.append(process)
        first = process.stdout
    return running, logs


def _end(process: subprocess.Popen[bytes]) -> None:
    """Nothing outlives whoever asked for it."""
    if process.poll() is None:
        process.kill()
        process.wait()


def _said(log: IO[bytes]) -> str:
    log.seek(0)
    return log.read().decode(errors="replace")


def _sync(sink: Any) -> None:
    if not isinstance(sink, int):
        os.fsync(sink.fileno())


def renaming(databases: Mapping[str, str]) -> list[str]:
    """Options of mongorestore that take these databases alone, each under its other name."""
    words = [f"--nsInclude={name}.*" for name in databases]
    for name, other in databases.items():
        words += [f"--nsFrom={name}.*", f"--nsTo={other}.*"] if other != name else []
    return words
