"""The report on every kind of storage: a local disk, S3 over real HTTP, and one that has no append."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from refresh_world import World, bag, people, person, phone, table
from s3_server import KEY, REGION, SECRET, S3Server
from upath import UPath

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.refresh.errors import AfilnetReportError, AfilnetStoppedError
from airflow_provider_afilnet.refresh.report_file import ReportFile, make_folder, open_report_file
from airflow_provider_afilnet.refresh.rows import DictRows

pytestmark = pytest.mark.filterwarnings("ignore:UPath '(noappend|slow)' filesystem not explicitly implemented")

HOW: dict[str, Any] = {"mode": "mirror", "max_deletes": 1.0}
RESTORE: dict[str, Any] = {"nulls": "clear", "duplicates": "first", "max_deletes": 1.0}


class NoAppend(LocalFileSystem):
    """A folder of this machine behind a storage that can only replace files, as Google Cloud Storage can."""

    protocol = "noappend"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if "a" in mode:
            raise NotImplementedError("This storage has no append.")
        return super()._open(path, mode=mode, **options)


fsspec.register_implementation("noappend", NoAppend, clobber=True)


@pytest.fixture
def s3() -> Iterator[S3Server]:
    server = S3Server()
    yield server
    server.stop()


@pytest.fixture(params=["local", "s3", "noappend"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A folder that is not there yet."""
    if request.param == "s3":
        return request.getfixturevalue("s3").folder()
    return tmp_path / "a" / "report" if request.param == "local" else UPath(f"noappend://{tmp_path}/a/report")


def content(path: Any) -> bytes:
    with path.open("rb") as file:
        return bytes(file.read())


def lines(path: Any) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content(path).decode("utf-8").splitlines()]


def report_of(folder: Any) -> Any:
    return json.loads(content(folder / "report.json"))


# --- the four files --------------------------------------------------------------------------------------------------


def test_a_green_run_leaves_four_whole_files(world: World, folder: Any) -> None:
    world.make(people(*range(10)))
    rows = [*people(*range(8)), person(20), person(7, name="\x00"), person(6, name="ñ😀")]
    result = world.run(rows, report=folder, invalid_rows="reject", max_rejected=1, duplicates="last", **HOW)
    assert {path.name for path in folder.iterdir()} == {
        "report.json", "rejects.jsonl", "backup.jsonl", "journal.jsonl",
    }  # fmt: skip
    report = report_of(folder)
    assert (report["status"], report["result"]) == ("success", result.as_dict())
    assert [line["row"] for line in lines(folder / "rejects.jsonl")] == [10]
    assert bag(lines(folder / "backup.jsonl")) == bag(people(6, 8, 9))
    noted = [(line["operation"], line["key"], line["outcome"]) for line in lines(folder / "journal.jsonl")]
    assert sorted(noted) == sorted(
        [
            ("add", phone(20), "acked"),
            ("update", phone(6), "acked"),
            ("delete", phone(8), "acked"),
            ("delete", phone(9), "acked"),
        ]
    )


def test_a_run_without_writes_leaves_no_backup_and_an_empty_journal(world: World, folder: Any) -> None:
    world.make(people(1))
    world.run(people(1), report=folder)
    assert {path.name for path in folder.iterdir()} == {"report.json", "rejects.jsonl", "journal.jsonl"}
    assert content(folder / "journal.jsonl") == b""


def test_a_retry_keeps_what_the_first_try_left(world: World, folder: Any) -> None:
    """The first try changes and deletes some, and fails; the second finds new values, and must not bury the old."""
    before = people(*range(10))
    world.make(before)
    rows = people(*range(5), name="New")
    world.sandbox.fail("error", methods="deletecontact", code="SOME_REASON")
    assert not world.ends(rows, report=folder, **HOW).green
    world.sandbox.clear_faults()
    first = {name: content(folder / name) for name in ("backup.jsonl", "journal.jsonl")}
    assert report_of(folder)["status"] == "failed"
    world.run(people(*range(4), name="Newer"), report=folder, **HOW)
    for name, kept in first.items():
        assert content(folder / name).startswith(kept)
        assert len(content(folder / name)) > len(kept)
    assert report_of(folder)["status"] == "success"
    world.run(DictRows(lines(folder / "backup.jsonl")), **RESTORE)
    assert world.now() == bag(before)


def test_the_backup_is_on_the_storage_before_the_first_contact_is_touched(world: World, folder: Any) -> None:
    """Seen from outside, at the moment when the first change arrives at the server."""
    world.make(people(*range(10)))
    world.sandbox.fail("latency", methods=["modifycontact", "deletecontact"], seconds=0.5, count=1)
    seen: list[Any] = []

    def look() -> None:
        seen.append(bag(lines(folder / "backup.jsonl")))
        seen.append(world.now())

    watcher = S3Server.when(lambda: world.sandbox.count("modifycontact") > 0, look)
    world.run(people(*range(5), name="New"), settings={"max_connections": 1}, report=folder, **HOW)
    watcher.join()
    assert seen == [bag(people(*range(10))), bag(people(*range(10)))]


def test_a_file_without_its_last_line_end_is_carried_on(folder: Any) -> None:
    """A writer that was killed leaves half a line, an editor a whole one without its end."""
    make_folder(folder)
    long = b'{"n": "' + b"x" * 200_000 + b'"}'
    for left, kept in (
        (b'{"n": 1}\n{"n": 2', b'{"n": 1}\n'),
        (b'{"n": 1}\n{"n": 2}', b'{"n": 1}\n{"n": 2}\n'),
        (b'{"n"', b""),
        (b'{"n": 1}\n' + long, b'{"n": 1}\n' + long + b"\n"),
        (b'{"n": 1}\n' + long[:-1], b'{"n": 1}\n'),
        (b'{"n": "\xc3', b""),
    ):
        with (folder / "j.jsonl").open("wb") as file:
            file.write(left)
        added(open_report_file(folder / "j.jsonl"), b'{"n": 3}\n')
        assert content(folder / "j.jsonl") == kept + b'{"n": 3}\n'


def added(file: ReportFile, *new: bytes) -> None:
    file.append(new)
    file.keep()
    file.close()


def test_memory_as_a_storage() -> None:
    folder = UPath("memory://bucket/report")
    make_folder(folder)
    for line in (b"1\n", b"2\n"):
        added(open_report_file(folder / "j.jsonl"), line)
    assert content(folder / "j.jsonl") == b"1\n2\n"


def test_a_new_folder_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        make_folder(tmp_path / "report")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "report").stat().st_mode) == 0o700


# --- S3 --------------------------------------------------------------------------------------------------------------


def test_what_another_process_wrote_meanwhile_is_not_lost(s3: S3Server) -> None:
    """This process listed the folder when it was empty; a retry elsewhere wrote there since."""
    folder = s3.folder()
    s3.write("a/report/other", b"")
    assert [path.name for path in folder.iterdir()] == ["other"]
    s3.write("a/report/journal.jsonl", b'{"first": 1}\n')
    added(open_report_file(folder / "journal.jsonl"), b'{"second": 2}\n')
    assert s3.read("a/report/journal.jsonl") == b'{"first": 1}\n{"second": 2}\n'


def test_the_journal_is_uploaded_while_it_grows_and_no_more_than_three_times_its_size(s3: S3Server) -> None:
    file = open_report_file(s3.folder("journal.jsonl"))
    note = [b'{"%s"}\n' % (b"x" * 990)] * 100
    total = uploaded = shown = 0
    for _ in range(400):
        file.append(note)
        total += sum(map(len, note))
        now = s3.sizes().get("journal.jsonl", 0)
        if now != shown:
            uploaded += now
            shown = now
        assert total - shown <= max(1 << 20, total // 2), "what a kill may lose"
    file.keep()
    file.close()
    assert s3.read("journal.jsonl") == b"".join(note) * 400
    assert uploaded < 2 * total, "and the last upload, of the whole, is the third"


def test_an_upload_that_breaks_off_leaves_the_older_file(s3: S3Server) -> None:
    """A task's time-out strikes in the middle of it: half of a backup must not take the place of the whole."""
    folder = s3.folder()
    added(open_report_file(folder / "backup.jsonl"), b'{"first": 1}\n')
    file = open_report_file(folder / "backup.jsonl")

    class TimeIsUp(BaseException):
        pass

    def strike(*_: object) -> None:
        raise TimeIsUp

    def growing() -> Iterator[bytes]:
        yield from [b'{"%s"}\n' % (b"x" * 990)] * 120_000
        signal.setitimer(signal.ITIMER_REAL, 0.25)

    before = signal.signal(signal.SIGALRM, strike)
    try:
        with pytest.raises(TimeIsUp):
            file.append(growing())
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert s3.read("a/report/backup.jsonl") == b'{"first": 1}\n'
    added(file, b'{"last": 1}\n')
    kept = s3.read("a/report/backup.jsonl")
    assert len(kept) > 100_000_000, "and what was to be kept is kept at the next time"
    assert kept.endswith(b'"}\n{"last": 1}\n')


# --- storages that fail ----------------------------------------------------------------------------------------------


def text_of(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def refusing(server: S3Server) -> Any:
    server.refuse()
    return server.folder()


def stopped(server: S3Server) -> Any:
    server.stop()
    return server.folder()


UNUSABLE: dict[str, Callable[[S3Server, Path], Any]] = {
    "no such bucket": lambda server, _: server.folder(bucket="not-there"),
    "no key is good": lambda server, _: refusing(server),
    "nobody answers": lambda server, _: stopped(server),
    "a file in its place": lambda _, path: _file_at(path / "file") / "folder",
    "a file in its place, no append": lambda _, path: UPath(f"noappend://{_file_at(path / 'file')}/folder"),
}


def _file_at(path: Path) -> Path:
    path.write_text("")
    return path


@pytest.mark.parametrize("case", UNUSABLE)
def test_a_storage_that_cannot_be_used_stops_the_run_before_it_calls_anything(
    world: World, s3: S3Server, tmp_path: Path, case: str
) -> None:
    folder = UNUSABLE[case](s3, tmp_path)
    world.sandbox.clear_calls()
    with pytest.raises(AfilnetConfigurationError, match="The report_path cannot be used") as caught:
        world.run(people(1), report=folder)
    assert world.sandbox.calls == []
    assert not caught.value.retryable
    assert SECRET not in text_of(caught.value)
    if case == "no such bucket":
        names = {bucket["Name"] for bucket in s3.client.list_buckets()["Buckets"]}
        assert "not-there" not in names, "a misspelt bucket is not made"


def _at_the_second_read(world: World, strike: Callable[[], None]) -> threading.Thread:
    """Strike while the group is read back, when everything has been written."""
    world.sandbox.fail("latency", methods="getcontacts", seconds=0.6, after=1)
    return S3Server.when(lambda: world.sandbox.count("getcontacts") > 1, strike)


def test_a_backup_that_fails_stops_the_run_before_anybody_is_touched(world: World, s3: S3Server) -> None:
    world.make(people(*range(10)))
    rows = [*people(*range(5), name="New"), person(20)]

    def strike() -> list[str]:
        s3.drop_bucket()
        return []

    ended = world.ends(rows, report=s3.folder(), suppress=strike, allow_empty_suppress=True, **HOW)
    assert isinstance(ended.error, AfilnetReportError)
    assert "nothing more is written to the group" in ended.message
    assert "backup.jsonl: FileNotFoundError" in ended.message
    assert ended.error.retryable, "the storage may be there again"
    assert ended.counts is not None
    assert (ended.counts.added, ended.counts.updated, ended.counts.deleted, ended.counts.failed) == (1, 0, 0, 5)
    assert world.sandbox.count("modifycontact") == world.sandbox.count("deletecontact") == 0
    assert world.now() == bag([*people(*range(10)), person(20)])
    (note,) = ended.error.__notes__
    assert note == "The report in the report_path is not complete (rejects.jsonl: FileNotFoundError)."
    for text in (text_of(ended.error), str(ended.error.__dict__)):
        assert SECRET not in text
        assert not any(phone(n) in text for n in range(30))


def test_the_journal_of_a_round_is_on_the_storage_before_the_next_read(world: World, s3: S3Server) -> None:
    """A worker that is lost while it waits for the group to settle takes no notes along."""
    world.sandbox.fail("latency", methods="getcontacts", seconds=0.5, after=1)
    seen: list[bytes] = []
    look = world.when("getcontacts", lambda: seen.append(s3.read("a/report/journal.jsonl")), 2)
    world.run(people(*range(10)), report=s3.folder())
    look.join()
    assert seen[0].count(b"acked") == 10


def test_a_journal_that_fails_ends_the_run_and_the_retry_carries_on(world: World, s3: S3Server) -> None:
    """Between the additions and their journal's upload at the end of the round."""
    rows = people(*range(20))
    world.sandbox.fail("latency", methods="addcontactlist", seconds=0.5)
    thread = S3Server.when(lambda: world.sandbox.count("addcontactlist") > 0, s3.drop_bucket)
    ended = world.ends(rows, report=s3.folder())
    thread.join()
    assert isinstance(ended.error, AfilnetReportError)
    assert "journal.jsonl" in ended.message
    assert world.now() == bag(rows)
    s3.make_bucket()
    assert world.run(rows, report=s3.folder()).unchanged == 20


@pytest.mark.parametrize("how", ["bucket", "server"])
def test_a_green_run_whose_report_cannot_be_written_is_red_and_keeps_its_counts(
    world: World, s3: S3Server, how: str
) -> None:
    """Who asked for a report would take it that there is one. The group is right, and the message says so."""
    world.make(people(*range(10)))
    rows = [*people(*range(5), name="New"), *people(*range(5, 10))]
    thread = _at_the_second_read(world, s3.drop_bucket if how == "bucket" else s3.stop)
    ended = world.ends(rows, report=s3.folder(), **HOW)
    thread.join()
    assert isinstance(ended.error, AfilnetReportError)
    assert ended.error.retryable
    assert "ended well" in ended.message
    assert "5 updated, 5 unchanged" in ended.message
    assert ended.counts is not None
    assert (ended.counts.updated, ended.counts.failed) == (5, 0)
    assert world.now() == bag(rows)
    assert SECRET not in text_of(ended.error)


def test_a_red_run_keeps_its_own_error_when_its_report_cannot_be_written(
    world: World, s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    world.sandbox.fail("lose_row", keys=[phone(3)])
    thread = _at_the_second_read(world, s3.drop_bucket)
    ended = world.ends(people(*range(10)), report=s3.folder())
    thread.join()
    assert type(ended.error).__name__ == "AfilnetIncompleteError"
    assert "The group still differs in 1 contacts" in ended.message
    assert ended.counts is not None
    assert (ended.counts.added, ended.counts.failed) == (9, 1)
    assert "The report in the report_path is not complete" in caplog.text
    assert "The report in the report_path is not complete" in text_of(ended.error)


class Slow(NoAppend):
    """Takes its time with a backup."""

    protocol = "slow"

    def _open(self, path: str, mode: str = "rb", **options: Any) -> Any:
        if path.endswith("backup.jsonl") and "w" in mode:
            time.sleep(6)
        return super()._open(path, mode=mode, **options)


fsspec.register_implementation("slow", Slow, clobber=True)


def test_a_stop_while_the_backup_hangs_touches_nobody(world: World, tmp_path: Path) -> None:
    before = people(*range(10))
    world.make(before)
    refresh = world.refresh(report=UPath(f"slow://{tmp_path}/report"), **HOW)
    threading.Timer(1.0, refresh.stop).start()
    with pytest.raises(AfilnetStoppedError):
        refresh.run(table(people(*range(5), name="New")))
    time.sleep(0.3)
    assert world.sandbox.writes == 0
    assert world.now() == bag(before)
    assert json.loads((tmp_path / "report" / "report.json").read_text())["status"] == "failed"
    assert not [thread for thread in threading.enumerate() if thread.name == "afilnet-refresh"]


# --- kills and memory ------------------------------------------------------------------------------------------------

_NOTING = """
import sys
from pathlib import Path
from airflow_provider_afilnet.refresh.report import ReportFolder
from airflow_provider_afilnet.refresh.store import Op

report = ReportFolder(Path(sys.argv[1]))
for n in range(1_000_000):
    report.note([Op(n, "update", str(n), str(n), n, {}, "", {}, "acked", None)], "acked", None)
    print(n, flush=True)
"""


@pytest.mark.parametrize("count", [1, 50, 2000])
def test_a_killed_process_loses_nothing_that_it_had_noted_on_a_local_disk(tmp_path: Path, count: int) -> None:
    child = subprocess.Popen([sys.executable, "-c", _NOTING, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    for _ in range(count):
        child.stdout.readline()
    child.kill()
    said = child.communicate()[0]
    last = int(said[: said.rfind("\n")].split()[-1]) if "\n" in said else count - 1
    text = (tmp_path / "journal.jsonl").read_bytes()
    whole = [json.loads(line) for line in text[: text.rfind(b"\n")].splitlines()]
    assert [line["key"] for line in whole] == [str(n) for n in range(len(whole))]
    assert len(whole) > last
    assert json.loads((tmp_path / "report.json").read_text())["status"] == "running"


# The system's own account (getrusage) begins with the memory of the process that started this one.
_GROWING = """
import json, sys
from upath import UPath
from airflow_provider_afilnet.refresh.report import ReportFolder
from airflow_provider_afilnet.refresh.store import Op, Store

url, bucket, key, secret = sys.argv[1:]
folder = UPath(f"s3://{bucket}/report", key=key, secret=secret, endpoint_url=url)
report = ReportFolder(folder)

def written(count):
    report.back_up({"mobile": str(n), "name": "x" * 100} for n in range(count))
    for start in range(0, count, 500):
        ops = [Op(n, "update", str(n), str(n), n, {}, "", {}, "acked", None) for n in range(start, start + 500)]
        report.note(ops, "acked")
    report.keep_journal()
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) // 1024

small = written(20_000)
print(json.dumps([small, written(300_000)]))
"""


def test_memory_stays_flat_however_long_the_journal_is(s3: S3Server) -> None:
    found = subprocess.run(
        [sys.executable, "-c", _GROWING, s3.url, s3.bucket, KEY, SECRET],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={**os.environ, "AWS_DEFAULT_REGION": REGION},
    )
    small, large = json.loads(found.stdout)
    files = {name: len(s3.read(f"report/{name}.jsonl")) >> 20 for name in ("journal", "backup")}
    assert min(files.values()) > 36, files
    assert large - small < 24, (small, large)
