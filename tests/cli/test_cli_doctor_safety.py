"""The doctor on a real account: whose group it touches, what it leaves, what a stop does, what others can see."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import Popen

import pytest
from afilnet_process import PASSWORD, afilnet, environment_for, start
from doctor_visit import FOREIGN, compare, visit

from airflow_provider_afilnet.api.methods import GROUP_METHODS
from airflow_provider_afilnet.sandbox import Dialect, Sandbox

FICTIONAL = re.compile(
    r"\+?(44)?(7700900|2079460|113496\d|114496\d|115496\d|1[1-6]1?\d?496\d|191498\d|1632960)\d+"
    r"|afilnet-doctor-\d{5}@example\.com",
    re.IGNORECASE,
)


def until(done: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def test_a_group_of_the_user_is_as_it_was(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("mine", "mobile", ["mobile", "name"])
    found = visit(box, tmp_path, "--group", group, "--keep-country")
    assert found.ended.code == 0, found.ended.said
    assert (box.columns(group), box.contacts(group), box.country(group)) == (["mobile", "name"], [], None)
    assert [one["id"] for one in box.groups()] == [group]
    assert found.value("creategroup_answer") == "unknown"
    assert "--create" in found.finding("creategroup_answer")["answer"]
    assert "--keep-country" in found.finding("country_case")["answer"]
    assert found.report["api_facts"] == {"bulk_dedupes": False, "modify_merges": False}


def test_both_ask_everything(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("mine", "email", ["email"])
    found = visit(box, tmp_path, "--group", group, "--create")
    assert found.ended.code == 0, found.ended.said
    assert {call.method for call in box.calls} >= set(GROUP_METHODS)
    compare(found, {"creategroup_answer": "scalar", "group_delete": "NOT_ACCESS_TO_GROUP", "country_case": "both"})
    compare(found, {"email_case": "different", "stored_key": "unknown", "bulk_existing": "doubled"})
    assert [one["id"] for one in box.groups()] == [group]
    assert box.contacts(group) == []


def test_every_method_is_tried(box: Sandbox, tmp_path: Path) -> None:
    visit(box, tmp_path, "--create")
    assert {call.method for call in box.calls} >= {*GROUP_METHODS, "getbalance"}


def test_only_fictional_people_are_sent(box: Sandbox, tmp_path: Path) -> None:
    visit(box, tmp_path, "--create", "--longest-list", "2500")
    keys = {key for group in range(1000, 1010) for key in box.sent_rows(str(group))}
    assert len(keys) > 2500
    assert [key for key in keys if not FICTIONAL.fullmatch(key)] == []


def test_a_group_with_people_is_refused(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("people", "mobile", ["mobile", "name"], FOREIGN)
    before = box.contacts(group)
    found = visit(box, tmp_path, "--group", group)
    assert found.ended.code == 2
    assert f"Group {group} is not empty, so nothing was touched" in found.ended.err.replace("\n", " ")
    assert box.writes == 0
    assert box.contacts(group) == before


def test_a_large_group_given_by_mistake_is_not_read_whole(box: Sandbox, tmp_path: Path) -> None:
    one = box.create_group("one", "mobile", ["mobile", "name"], FOREIGN[:1])
    many = box.create_group("many", "mobile", ["mobile", "name"])
    box.add_contacts(many, [{"mobile": str(34600000000 + number), "name": "Ana"} for number in range(200_000)])

    # The system's own account of a process that has ended counts the memory of the one that started it, too.
    code = (
        "import atexit, re, sys\nfrom airflow_provider_afilnet.cli.main import main\n"
        "atexit.register(lambda: print(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]))\n"
        f"main(['doctor', '--yes', '--report', {str(tmp_path)!r}, '--group', sys.argv[1]])"
    )

    def most_memory(group: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", code, group],
            env=environment_for(box),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode, f"Group {group} is not empty" in done.stderr) == (2, True), done.stderr
        return int(done.stdout.splitlines()[-1])

    # Read whole it would be more than twice as much.
    assert most_memory(many) < most_memory(one) * 1.3


def test_people_that_a_null_read_hides(box: Sandbox, tmp_path: Path) -> None:
    """The first read proves nothing; the group shows its people once the first contact is in, and that goes again."""
    group = box.create_group("people", "mobile", ["mobile", "doctorone", "doctortwo"], FOREIGN)
    before = box.contacts(group)
    box.fail("null_read", count=1)
    found = visit(box, tmp_path, "--group", group)
    assert found.ended.code == 2, found.ended.said
    assert "is not empty" in found.ended.err
    assert box.contacts(group) == before
    assert box.count("addcontactlist", "modifycontact") == 0


def test_a_group_that_is_not_there(box: Sandbox, tmp_path: Path) -> None:
    found = visit(box, tmp_path, "--group", "4711")
    assert found.ended.code == 1
    assert "group 4711 cannot be used: getgroupcolumns was refused with NOT_ACCESS_TO_GROUP" in found.ended.out
    assert box.writes == 0


def test_leftovers_of_a_killed_visit_are_taken_out(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("mine", "mobile", ["mobile", "name"])
    env = environment_for(box)
    process = start("doctor", "--group", group, "--yes", "--report", tmp_path, "--longest-list", "60", env=env)
    until(lambda: box.count("addcontactlist") >= 3)
    process.kill()
    process.communicate()
    assert box.contacts(group)
    found = visit(box, tmp_path, "--group", group)
    assert found.ended.code == 0, found.ended.said
    assert "an earlier visit left behind were deleted" in found.ended.out
    assert (box.columns(group), box.contacts(group)) == (["mobile", "name"], [])


MOMENTS = ["creategroup", "addcontact", "modifycontact", "addcontactlist", "deletegroup"]


@pytest.mark.parametrize(
    ("moment", "number"),
    [*((moment, signal.SIGINT) for moment in MOMENTS), ("addcontact", signal.SIGTERM), ("addcontact", signal.SIGHUP)],
)
def test_a_stop_leaves_nothing_or_says_what(box: Sandbox, tmp_path: Path, moment: str, number: int) -> None:
    """The stop comes while a call waits for its answer, which is the worst of moments."""
    foreign = box.create_group("foreign", "mobile", ["mobile", "name"], FOREIGN)
    box.fail("latency", methods=moment, seconds=0.4)
    process = start("doctor", "--create", "--yes", "--report", tmp_path, env=environment_for(box))
    until(lambda: box.count(moment) >= 1)
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert "Traceback" not in out + err
    assert process.returncode == 1, out + err
    assert "it was stopped" in out
    until_quiet(box)
    for group in box.groups():
        if group["id"] != foreign:
            assert moment == "creategroup"
            assert f"perhaps a group named {group['name']!r}" in out
    report = json.loads((tmp_path / "afilnet-doctor.json").read_text())
    assert bool(report["left_behind"]) == (len(box.groups()) > 1)


@pytest.mark.parametrize("lines", [13, 15, 24])
def test_a_reader_that_goes_away_leaves_nothing(box: Sandbox, tmp_path: Path, lines: int) -> None:
    """As with ``afilnet doctor … | head``: nobody reads any more, and the groups have to go all the same."""
    box.fail("latency", seconds=0.02)
    process = start(
        "doctor", "--create", "--yes", "--report", tmp_path, "--longest-list", "20", env=environment_for(box)
    )
    assert process.stdout is not None
    assert process.stderr is not None
    for _ in range(lines):
        assert process.stdout.readline()
    process.stdout.close()
    err = process.stderr.read()
    process.stderr.close()
    assert (process.wait(timeout=60), err) == (0, "")
    assert box.count("creategroup") == 2
    assert box.groups() == []
    assert json.loads((tmp_path / "afilnet-doctor.json").read_text())["left_behind"] == []


def test_a_hang_up_that_was_switched_off_stops_nothing(box: Sandbox, tmp_path: Path) -> None:
    """As with ``nohup afilnet doctor …``."""
    box.fail("latency", methods="addcontact", count=1, seconds=0.4)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = start(
            "doctor", "--create", "--yes", "--report", tmp_path, "--longest-list", "20", env=environment_for(box)
        )
    finally:
        signal.signal(signal.SIGHUP, before)
    until(lambda: box.count("addcontact") >= 1)
    process.send_signal(signal.SIGHUP)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, ""), out
    assert "it was stopped" not in out
    assert box.groups() == []


def until_quiet(box: Sandbox) -> None:
    before = -1
    while before != len(box.calls):
        before = len(box.calls)
        time.sleep(0.6)


def test_a_stop_in_a_group_of_the_user(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("mine", "mobile", ["mobile"])
    box.fail("latency", methods="addcontactlist", seconds=0.3)
    process = start("doctor", "--group", group, "--yes", "--report", tmp_path, env=environment_for(box))
    until(lambda: box.count("addcontactlist") >= 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1, out + err
    until_quiet(box)
    assert (box.columns(group), box.contacts(group)) == (["mobile"], [])
    assert "nothing is left behind" in out


def test_a_second_stop_ends_the_clean_up_and_says_what_is_left(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("mine", "mobile", ["mobile"])
    process = start("doctor", "--group", group, "--yes", "--report", tmp_path, env=environment_for(box))
    box.fail("latency", methods="deletecontact", seconds=1.0, after=1)
    until(lambda: box.count("addcontactlist") >= 3)
    process.send_signal(signal.SIGINT)
    until(lambda: box.count("deletecontact") >= 4)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (1, "")
    assert "the clean-up was stopped" in out
    assert f"afilnet doctor --group {group}" in out


def test_a_server_that_dies_under_way(box: Sandbox, tmp_path: Path) -> None:
    box.fail("drop_before", after=12)
    found = visit(box, tmp_path, "--create")
    assert found.ended.code == 1
    assert "left behind" in found.ended.out
    (made,) = box.groups()
    assert made["id"] in found.report["left_behind"][0]


def test_a_group_that_cannot_be_deleted(box: Sandbox, tmp_path: Path) -> None:
    box.fail("error", methods="deletegroup", code="NOT_TODAY")
    found = visit(box, tmp_path, "--create")
    assert found.ended.code == 1
    assert len(found.report["left_behind"]) == len(box.groups()) == 2
    assert "deletegroup was refused with NOT_TODAY" in found.report["left_behind"][0]


def test_nothing_secret_and_nobody_in_any_output(box: Sandbox, tmp_path: Path) -> None:
    found = visit(box, tmp_path, "--create")
    assert found.ended.code == 0
    written = found.ended.said + "".join(path.read_text() for path in tmp_path.iterdir())
    assert len(list(tmp_path.iterdir())) == 2
    for secret in (PASSWORD, box.user, "Bearer", "Basic "):
        assert secret not in written
    # The plan names the reserved ranges; no key that was sent appears.
    assert not re.search(r"447700900\d{3}|afilnet-doctor-\d", written)
    assert "12345" not in written


@pytest.mark.parametrize("style", ["post", "get", "basic", "basic-get"])
def test_the_process_list_shows_no_secret(box: Sandbox, tmp_path: Path, style: str) -> None:
    env = environment_for(box, api_style=style)
    process = start("doctor", "--create", "--yes", "--report", tmp_path, "--longest-list", "20", env=env)
    until(lambda: box.count("addcontact") >= 1)
    assert PASSWORD not in command_line(process)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, out + err
    assert PASSWORD not in out + err
    assert box.groups() == []


def command_line(process: Popen[str]) -> str:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()


def test_no_option_takes_a_secret() -> None:
    env = {**os.environ, "COLUMNS": "100"}
    for command in (["doctor"], ["contacts", "export"], ["contacts", "import"]):
        text = afilnet(*command, "--help", env=env).out
        assert not re.search(r"--(password|token|secret|user)\b", text)


def test_limits_that_a_server_has(box: Sandbox, tmp_path: Path) -> None:
    box.fail("too_large", rows=25)
    found = visit(box, tmp_path, "--create")
    assert found.ended.code == 0, found.ended.said
    length = found.value("list_length")
    assert (length["accepted"], length["refused"]) == (15, 30)
    assert "HTTP 413" in length["why"]
    assert found.report["recommended"]["batch_size"]["value"] == 15


def test_reads_that_are_late(box: Sandbox, tmp_path: Path) -> None:
    box.fail("stale_read", seconds=0.3)
    found = visit(box, tmp_path, "--create")
    assert found.ended.code == 0, found.ended.said
    assert 0.1 <= found.value("reads_late") < 5
    compare(found, {"modify_merges": False, "bulk_existing": "doubled", "contact_ids": "stable", "modify_blank": True})
    compare(found, {"stored_key": "as-sent", "email_case": "different", "list_length": found.value("list_length")})


def test_a_list_that_is_cut_off(box: Sandbox, tmp_path: Path) -> None:
    box.fail("capped_read", limit=80)
    found = visit(box, tmp_path, "--create", "--longest-list", "400", "--settle", "1")
    length = found.value("list_length")
    assert length["accepted"] < 80
    assert "only" in length["why"]


def test_passing_faults_are_waited_for(box: Sandbox, tmp_path: Path) -> None:
    box.fail("rate_limited", retry_after=0, every=5)
    found = visit(box, tmp_path, "--create")
    assert found.ended.code == 0, found.ended.said
    compare(found, {"modify_merges": False, "bulk_existing": "doubled"})
    assert [name.lower() for name in found.value("rate_limits")] == ["retry-after"]


def test_ids_only_from_addcontact_in_a_group_of_the_user(box: Sandbox, tmp_path: Path) -> None:
    box.dialect = Dialect(contacts="positional", modify_merges=True)
    group = box.create_group("mine", "mobile", ["mobile"])
    found = visit(box, tmp_path, "--group", group)
    assert found.ended.code == 0, found.ended.said
    compare(found, {"contact_ids": "refused", "modify_merges": True, "bulk_existing": "unknown"})
    assert "could not be deleted" in found.finding("bulk_existing")["answer"]
    assert (box.columns(group), box.contacts(group)) == (["mobile"], [])
