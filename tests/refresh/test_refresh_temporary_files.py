"""Temporary files: on disk while a refresh needs them, never with a name, closed however it ends, where it says."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from refresh_world import SETTLE, World, people, phone
from upath import UPath

from airflow_provider_afilnet.api.errors import AfilnetCredentialsError, AfilnetError
from airflow_provider_afilnet.refresh.engine import Refresh
from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetIncompleteError, AfilnetStoppedError
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.rows import TableRows
from airflow_provider_afilnet.refresh.store import Store

WIDE = 700
"""Rows, each with 10,000 characters: more than SQLite's cache holds."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The temporary folder of Python. That of SQLite was settled when the process began."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(path))
    return path


def open_files(folder: Path) -> dict[str, int]:
    """Files that this process has open below a folder or as SQLite's temporary ones, without a name as well."""
    found = {}
    for path in Path("/proc/self/fd").iterdir():
        try:
            what, size = str(path.readlink()), path.stat().st_size
        except FileNotFoundError:
            continue  # the listing's own
        if what.startswith(f"{folder}/") or "/etilqs_" in what:
            found[f"{path.name} {what}"] = size
    return found


class Watched:
    """A refresh whose temporary files are looked at all the while."""

    def __init__(self, world: World, folder: Path, report: Any = None, **options: Any) -> None:
        self.folder = folder
        self.before = set(open_files(folder))
        self.named: set[str] = set()
        self.lists = self.tables = 0
        read = RefreshOptions.read(**{"settle": SETTLE, **options})
        self.refresh = Refresh(world.settings(), world.group, read, report_folder=report, watch=self.look)

    def look(self, _: Progress | None = None) -> None:
        self.named.update(path.name for path in self.folder.iterdir())
        files = {name: size for name, size in open_files(self.folder).items() if name not in self.before}
        tables = sum(size for name, size in files.items() if "/etilqs_" in name)
        self.tables = max(self.tables, tables)
        self.lists = max(self.lists, sum(files.values()) - tables)

    def rows(self, count: int, then: Callable[[], object] = lambda: None) -> Iterator[tuple[str, str]]:
        """New names for everybody; ``then`` is called after the last."""
        for number in range(count):
            yield phone(number), f"New {number} " + "x" * 10_000
        self.look()
        then()


def _stop(watched: Watched) -> None:
    watched.refresh.run(TableRows(("mobile", "name"), watched.rows(WIDE, watched.refresh.stop)))


def _interrupt(watched: Watched) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    watched.refresh.run(TableRows(("mobile", "name"), watched.rows(WIDE, interrupt)))


def _all(watched: Watched) -> None:
    watched.refresh.run(TableRows(("mobile", "name"), watched.rows(WIDE)))


ENDS: dict[str, tuple[Callable[[Watched], None], type[BaseException] | None, dict[str, Any], str]] = {
    "success": (_all, None, {}, ""),
    "a dry run": (_all, None, {"dry_run": True}, ""),
    "a guardrail": (_all, AfilnetGuardrailError, {"mode": "mirror"}, ""),
    "an error of the server": (_all, AfilnetCredentialsError, {}, "getcontacts"),
    "an error while writing": (_all, AfilnetIncompleteError, {}, "modifycontact"),
    "a stop": (_stop, AfilnetStoppedError, {}, ""),
    "an interrupt": (_interrupt, KeyboardInterrupt, {}, ""),
}


@pytest.mark.parametrize("end", ENDS)
def test_nothing_is_left_open_and_nothing_has_a_name(world: World, folder: Path, end: str) -> None:
    """Files without a name are gone when they are closed, or with the process: there is nothing to clear up later."""
    work, error, options, method = ENDS[end]
    world.make(people(*range(20), *range(2000, 2060)))
    if error is AfilnetCredentialsError:
        world.sandbox.fail("error", methods=method, code="INCORRECT_USER_PASSWORD")
    elif method:
        world.sandbox.fail("error", methods=method, code="SOME_REASON")
    # The report of a storage that cannot append waits in such a file too.
    watched = Watched(world, folder, UPath(f"memory://temporary-{end.replace(' ', '-')}"), **options)
    caught: BaseException | None = None
    try:
        work(watched)
    except (AfilnetError, KeyboardInterrupt) as raised:
        # Kept, with all that its frames hold, so that what is closed was closed, and not merely forgotten.
        caught = raised
    assert isinstance(caught, error or type(None)), repr(caught)
    assert watched.lists > 2_000_000, "the rows were on disk"
    if end in ("success", "an error while writing"):
        assert watched.tables > 1_000_000, "what differs was on disk"
    assert watched.named == set()
    assert set(open_files(folder)) == watched.before
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("how", ["refused", "written", "lies"])
def test_the_temporary_store_goes_with_the_run(world: World, folder: Path, how: str) -> None:
    """Also where somebody keeps the error, whose traceback keeps the parts of the run."""
    before = set(open_files(folder))
    during: set[str] = set()
    world.make(people(*range(30)))
    if how == "lies":
        world.sandbox.fail("capped_read", limit=10, after=1)
    world.when("getcontacts", lambda: during.update(open_files(folder)))
    world.sandbox.fail("latency", methods="getcontacts", seconds=0.2)
    ended = world.ends(people(*range(20), name="New"), mode="mirror", max_deletes=1 if how == "refused" else 1.0)
    assert ended.green is (how == "written"), ended
    assert during - before, "it is on disk"
    assert not set(open_files(folder)) - before


def test_only_the_first_and_the_last_read_are_kept(folder: Path) -> None:
    """Each takes as much room on the disk as the group has text."""
    store = Store()
    numbers = []
    for number in range(4):
        store.begin_read()
        if number == 0:
            store.first_group = store.group
        numbers.append(len(open_files(folder)))
    first, second, third, fourth = numbers
    assert first < second == third == fourth
    store.close()


@pytest.mark.parametrize("variable", ["SQLITE_TMPDIR", "TMPDIR", None])
def test_the_folder_that_is_named_is_where_the_file_is(tmp_path: Path, variable: str | None) -> None:
    """Or somebody would make room in the wrong place."""
    script = (
        "import os\n"
        "from airflow_provider_afilnet.refresh.store import Store, folder_of_sqlite\n"
        "store = Store()\n"
        "store.insert('suppressed', ((f'{n:0100d}',) for n in range(100_000)))\n"
        "links = [os.path.join('/proc/self/fd', fd) for fd in os.listdir('/proc/self/fd')]\n"
        "open_ = [os.readlink(link) for link in links if os.path.islink(link)]\n"
        "print(folder_of_sqlite(), *{os.path.dirname(path) for path in open_ if '/etilqs_' in path})\n"
    )
    known = {name: value for name, value in os.environ.items() if name not in ("SQLITE_TMPDIR", "TMPDIR")}
    given = {} if variable is None else {variable: str(tmp_path)}
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=known | given, capture_output=True, text=True, check=False)
    named, *real = done.stdout.split()
    assert real == [named], done
    assert variable is None or named == str(tmp_path)


def _within(world: World, limit: int, rows: str, told: str) -> str:
    """What a refresh prints in a process whose files may not be larger, as on a disk that is full.

    :param limit: bytes of each file.
    :param rows: an expression of its rows, and ``told``: of what is printed of its ``error``.
    """
    script = (
        "import resource, sys\n"
        "from airflow_provider_afilnet.api.settings import ClientSettings\n"
        "from airflow_provider_afilnet.refresh.engine import Refresh\n"
        "from airflow_provider_afilnet.refresh.errors import AfilnetRefreshError\n"
        "from airflow_provider_afilnet.refresh.rows import TableRows\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n"
        f"rows = TableRows(('mobile', 'name'), {rows})\n"
        "try:\n"
        "    Refresh(ClientSettings(*sys.argv[1:4], max_requests_per_second=0), sys.argv[4]).run(rows)\n"
        "except AfilnetRefreshError as error:\n"
        f"    print({told})\n"
    )
    box = world.sandbox
    command = [sys.executable, "-c", script, box.user, box.password, box.url, world.group]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ended.stdout, ended
    return ended.stdout


def test_a_full_temporary_folder_is_told(world: World) -> None:
    """Nothing is written to the group."""
    world.make()
    rows = "((f'346{n:08d}', 'x' * 100) for n in range(50_000))"
    # The rows' lines are the first to meet the smaller limit; the tables, where they differ, the larger one.
    for limit in (1 << 20, 7 << 20):
        said = _within(world, limit, rows, "error.retryable, error")
        assert said.startswith("True The worker's temporary folder "), said
        assert "set TMPDIR to a folder with more" in said
        assert world.sandbox.writes == 0


def test_a_folder_that_is_full_when_the_writes_are_read_back(world: World) -> None:
    """Either list fits alone, and not both, as the group has then."""
    many = 4000
    wide = {"name": "x" * 200}
    world.make(people(*range(many), **wide))
    rows = f"((f'346{{n:08d}}', 'x' * 200) for n in range({many}, {2 * many}))"
    said = _within(world, 1_400_000, rows, "error.retryable, error.result.added, error")
    assert said.startswith(f"True {many} The worker's temporary folder "), said
    assert world.sandbox.writes > 0
    wanted = people(*range(many, 2 * many), **wide)
    result = world.run([{name: row[name] for name in ("mobile", "name")} for row in wanted])
    assert (result.unchanged, result.rounds) == (many, 0), "the next run finds all done"
    assert len(world.stored()) == 2 * many
