"""Contacts out of a group into a file, and back: exact, whole or not at all, and stoppable."""

from __future__ import annotations

import csv
import inspect
import io
import json
import os
import pty
import re
import select
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from afilnet_process import COMMAND, PASSWORD, Ended, afilnet, environment_for, start

from airflow_provider_afilnet.cli.contact_file import is_formula
from airflow_provider_afilnet.cli.refresh_flags import HELP, in_flags
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.sandbox import Sandbox

HOSTILE = {
    "comma": "a,b:c;d",
    "quotes": '"double" \'single\' ""',
    "lines": "one\ntwo\n\nfour",
    "formula": "=cmd|' /C calc'!A0",
    "at": "@SUM(1)",
    "minus": "-2+3",
    "tab": "\tTAB",
    "blanks": "  kept  ",
    "emoji": "smile \U0001f600 \U0001f469\u200d\U0001f467",
    "combining": "cafe\u0301",
    "html": "<b>&amp;</b>",
    "backslash": "\\N \\\\",
    "null": "null",
    "zeros": "0012",
    "long": "x" * 20_000,
    "form": "a&b=c%20+d#e?",
    "bidi": "\u202eabc",
}


def people(count: int) -> list[dict[str, str]]:
    return [{"mobile": f"346{number:08d}", "name": f"Name {number}"} for number in range(count)]


def hostile_group(box: Sandbox) -> str:
    contacts = [{"mobile": f"3460000{number:04d}", "name": value} for number, value in enumerate(HOSTILE.values())]
    return box.create_group("hostile", "mobile", ["mobile", "name", "city"], [*contacts, {"mobile": "34611111111"}])


def values(box: Sandbox, group: str) -> dict[str, dict[str, str]]:
    """Phone to the values that are not blank, without ids."""
    return {
        contact["mobile"]: {name: value for name, value in contact.items() if value and name != "idcontact"}
        for contact in box.contacts(group)
    }


def exported(box: Sandbox, group: str, *arguments: str | Path, **options: object) -> Ended:
    return afilnet("contacts", "export", group, *arguments, env=environment_for(box), **options)


def imported(box: Sandbox, group: str, file: Path, *arguments: str | Path) -> Ended:
    return afilnet("contacts", "import", group, file, *arguments, env=environment_for(box))


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_there_and_back_again(box: Sandbox, tmp_path: Path, kind: str) -> None:
    group = hostile_group(box)
    file = tmp_path / f"out.{kind}"
    out = exported(box, group, "--output", file)
    assert (out.code, out.out) == (0, "")
    assert f"{len(HOSTILE) + 1} contacts of group {group} written to {file}." in out.err

    copy = box.create_group("copy", "mobile", ["mobile", "name", "city"])
    back = imported(box, copy, file, "--mode", "mirror")
    assert back.code == 0, back.said
    assert f"{len(HOSTILE) + 1} added" in back.out
    assert values(box, copy) == values(box, group)

    again = imported(box, group, file, "--mode", "mirror")
    assert again.code == 0
    assert f"{len(HOSTILE) + 1} unchanged" in again.out
    assert box.count("modifycontact", "deletecontact") == 0


def test_standard_output_holds_the_contacts_and_nothing_else(box: Sandbox) -> None:
    group = hostile_group(box)
    rows = list(csv.DictReader(io.StringIO(exported(box, group).out, newline="")))
    assert [row["name"] for row in rows[:-1]] == list(HOSTILE.values())
    assert [row["idcontact"] for row in rows] == [contact["idcontact"] for contact in box.contacts(group)]
    lines = exported(box, group, "--format", "jsonl").out.split("\n")
    assert [json.loads(line) for line in lines if line] == box.contacts(group)


def test_a_spreadsheet_runs_nothing(box: Sandbox, tmp_path: Path) -> None:
    group = hostile_group(box)
    plain = exported(box, group, "--output", tmp_path / "a.csv")
    assert "Careful: 4 values begin like a formula" in plain.err
    safe = exported(box, group, "--output", tmp_path / "b.csv", "--spreadsheet")
    assert "Careful" not in safe.err
    with (tmp_path / "b.csv").open(newline="") as file:
        shown = [row["name"] for row in csv.DictReader(file)]
    assert [value for value in shown if is_formula(value)] == []
    assert shown[3] == "'" + HOSTILE["formula"]
    assert exported(box, group, "--format", "jsonl", "--spreadsheet").code == 2


@pytest.mark.parametrize(
    ("value", "runs"), [("+34600", False), ("-1.5", False), ("+a", True), ("=1", True), ("a=", False)]
)
def test_what_is_a_formula(value: str, runs: bool) -> None:
    assert is_formula(value) is runs


@pytest.mark.parametrize("fault", ["null_read", "absent_read", "garbled", "html", "drop_before"])
def test_a_failed_read_touches_nothing(box: Sandbox, tmp_path: Path, fault: str) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(3000))
    file = tmp_path / "out.csv"
    file.write_text("older")
    box.fail(fault, methods="getcontacts")
    out = exported(box, group, "--output", file)
    assert out.code == 1
    assert out.err.startswith("Error: ")
    assert len(out.err.splitlines()) == 1
    assert file.read_text() == "older"
    assert list(tmp_path.iterdir()) == [file]
    assert exported(box, group).out == ""


def test_an_empty_group_is_an_empty_file(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"])
    assert exported(box, group, "--output", tmp_path / "out.csv").code == 0
    assert (tmp_path / "out.csv").read_bytes() == b"idcontact,mobile,name\r\n"


def test_the_file_is_private_and_links_stay(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile"], [{"mobile": "34600000001"}])
    assert exported(box, group, "--output", tmp_path / "new.csv").code == 0
    assert stat.S_IMODE((tmp_path / "new.csv").stat().st_mode) == 0o600
    (tmp_path / "old.csv").write_text("")
    (tmp_path / "old.csv").chmod(0o644)
    (tmp_path / "link.csv").symlink_to(tmp_path / "old.csv")
    assert exported(box, group, "--output", tmp_path / "link.csv").code == 0
    assert (tmp_path / "link.csv").is_symlink()
    assert "34600000001" in (tmp_path / "old.csv").read_text()
    assert stat.S_IMODE((tmp_path / "old.csv").stat().st_mode) == 0o644


def test_a_device_is_written_to_and_not_replaced(box: Sandbox) -> None:
    group = box.create_group("g", "mobile", ["mobile"], [{"mobile": "34600000001"}])
    assert exported(box, group, "--output", "/dev/null", "--format", "csv").code == 0
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_disk_that_is_full(box: Sandbox) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(10))
    out = exported(box, group, "--output", "/dev/full", "--format", "csv")
    assert (out.code, len(out.err.splitlines())) == (1, 1)
    assert "No space left on device" in out.err


def test_a_reader_that_goes_away(box: Sandbox) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(20_000))
    command = " ".join([*COMMAND, "contacts", "export", group, "| head -1"])
    done = subprocess.run(
        ["bash", "-c", command], env=environment_for(box), capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "idcontact,mobile,name\n"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["1000", "--output", "x.parquet"], "--format"),
        (["1000", "--output", "/nowhere/at/all.csv"], "No such file or directory"),
        (["--output", "x.csv"], "Missing argument 'GROUP'"),
        (["None"], "GROUP must be an id"),
    ],
)
def test_wrong_use_of_export(box: Sandbox, arguments: list[str], said: str) -> None:
    out = afilnet("contacts", "export", *arguments, env=environment_for(box))
    assert out.code in (1, 2)
    assert said in out.err


def test_memory_does_not_grow_with_the_group(box: Sandbox, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom airflow_provider_afilnet.cli.main import main\n"
        "main(sys.argv[1:], standalone_mode=False)\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')])"
    )

    def peak(group: str) -> int:
        command = [sys.executable, "-c", code, "contacts", "export", group, "--output", str(tmp_path / "out.csv")]
        done = subprocess.run(command, env=environment_for(box), capture_output=True, text=True, check=True, timeout=60)
        return int(done.stdout)

    small = peak(box.create_group("small", "mobile", ["mobile", "name"], people(100)))
    large = peak(box.create_group("large", "mobile", ["mobile", "name"], people(60_000)))
    assert large - small < 4_000, f"{small} and {large} kB"
    with (tmp_path / "out.csv").open() as file:
        assert sum(1 for _ in file) == 60_001


# --- import ---


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_a_dry_run_writes_nothing(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(5))
    before = box.contacts(group)
    file = write_csv(tmp_path / "in.csv", [{"mobile": "34600000002", "name": "New"}, *people(20)[10:]])
    out = imported(box, group, file, "--mode", "mirror", "--dry-run", "--max-deletes", "5")
    assert out.code == 0, out.said
    assert out.out.startswith("Dry run, nothing was written.")
    assert "11 rows: 10 added, 1 updated" in out.out
    assert box.contacts(group) == before
    assert box.writes == 0


def test_what_was_planned_is_done(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(5))
    rows = [{"phone": "+34 600 00 00 02", "name": "New", "junk": "x"}, {"phone": "600000009", "name": "", "junk": "x"}]
    out = imported(
        box, group, write_csv(tmp_path / "in.csv", rows), "--column-map", "phone=mobile", "--default-region", "ES",
        "--bare-numbers", "national", "--unknown-columns", "ignore", "--mode", "mirror", "--max-deletes", "4",
        "--report", tmp_path / "report",
    )  # fmt: skip
    assert out.code == 0, out.said
    assert values(box, group) == {
        "34600000002": {"mobile": "34600000002", "name": "New"},
        "34600000009": {"mobile": "34600000009"},
    }
    assert {path.name for path in (tmp_path / "report").iterdir()} >= {"report.json", "journal.jsonl", "backup.jsonl"}


def test_opt_outs_from_a_file(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(3))
    (tmp_path / "stop.txt").write_text("\ufeff+34 600 00 00 01\n\n34600000007\n")
    file = write_csv(tmp_path / "in.csv", people(9))
    out = imported(box, group, file, "--suppress", tmp_path / "stop.txt")
    assert out.code == 0, out.said
    assert "2 suppressed" in out.out
    assert not {"34600000001", "34600000007"} & set(values(box, group))


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--mode", "replace"], 2, "'replace' is not one of"),
        (["--max-deletes", "many"], 2, "--max-deletes"),
        (["--column-map", "phone"], 2, "COLUMN=FIELD"),
        (["--nulls", "name=forget"], 2, "'keep', 'clear'"),
        (["--batch-size", "0"], 2, "--batch-size"),
        (["--settle", "-1"], 2, "--settle"),
        (["--default-region", "XX"], 2, "--default-region"),
        (["--mode", "mirror", "--max-deletes", "0"], 1, "--max-deletes"),
        (["--suppress", "/nowhere"], 2, "does not exist"),
    ],
)
def test_wrong_use_of_import(box: Sandbox, tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(5))
    out = imported(box, group, write_csv(tmp_path / "in.csv", people(1)), *arguments)
    assert out.code == code, out.said
    assert said in out.err
    assert box.writes == 0


@pytest.mark.parametrize(
    ("message", "told"),
    [
        ("set allow_empty=True.", "set --allow-empty."),
        ("Refresh option 'settle' must be a number", "--settle must be a number"),
        ("choose with bare_numbers='national'", "choose with --bare-numbers national"),
        ("max_deletes=0.1 allows 3", "--max-deletes 0.1 allows 3"),
        ("in mode 'mirror' the column 'verify'", "in mode 'mirror' the column 'verify'"),
        (
            "Refresh option \"nulls['two words']\" must be one of 'keep', 'clear', not 'y'.",
            "--nulls two words=… must be one of 'keep', 'clear', not 'y'.",
        ),
    ],
)
def test_messages_name_options_as_they_are_typed(message: str, told: str) -> None:
    assert in_flags(message) == told


def shell(command: str, env: dict[str, str]) -> Ended:
    done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, timeout=60, check=False)
    return Ended(done.returncode, done.stdout, done.stderr)


def test_streams_that_are_closed(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(3))
    command, env = " ".join(COMMAND), environment_for(box)
    out = shell(f"{command} contacts export {group} >&-", env)
    assert (out.code, "Traceback" in out.err) == (2, False)
    assert "Standard output is closed; name a file with --output." in out.err
    file = write_csv(tmp_path / "in.csv", people(5))
    assert shell(f"{command} contacts import {group} {file} 2>&-", env).code == 0
    assert len(box.contacts(group)) == 5


def test_an_import_whose_log_nobody_reads_any_more_goes_on(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"])
    file = write_csv(tmp_path / "in.csv", people(5))
    ended = shell(
        f"({' '.join(COMMAND)} contacts import {group} {file}; echo $? > {tmp_path}/code) 2>&1 >/dev/null | true",
        environment_for(box),
    )
    assert (ended.said, (tmp_path / "code").read_text()) == ("", "0\n")
    assert len(box.contacts(group)) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_export_that_is_stopped_leaves_nobody_behind(box: Sandbox, tmp_path: Path, number: int) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(10))
    box.fail("latency", methods="getcontacts", seconds=3)
    process = start("contacts", "export", group, "--output", tmp_path / "out.csv", env=environment_for(box))
    end = time.monotonic() + 30
    while not box.count("getcontacts") and time.monotonic() < end:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err.strip()) == (1, "", "Aborted!")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("in.txt", "mobile\n1", "must end in .csv or .jsonl"),
        ("in.csv", "mobile,name\n34600000001\n", "line 2: 1 values for 2 columns"),
        ("in.csv", "", "the first line must name every column"),
        ("in.csv", "mobile\n", "the source is empty. If that is right, set --allow-empty"),
        ("in.jsonl", '{"mobile": "34600000001"}\n[]\n', "line 2: not a JSON object"),
        ("in.csv", "mobile\n123\n", "is not a valid phone number"),
    ],
)
def test_a_file_that_cannot_be_used(box: Sandbox, tmp_path: Path, name: str, text: str, said: str) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"])
    (tmp_path / name).write_text(text)
    out = imported(box, group, tmp_path / name)
    assert out.code in (1, 2)
    assert said in out.err
    assert out.out == ""
    assert box.writes == 0


def test_a_red_end_says_what_differs(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"])
    box.fail("refuse_row", keys=["34600000002"])
    box.fail("error", methods="addcontact", code="NO")
    out = imported(box, group, write_csv(tmp_path / "in.csv", people(5)), "--settle", "1")
    assert out.code == 1
    assert "still differs" in out.err
    assert "34600000002" not in out.said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_ends_the_writing_and_the_next_run_carries_on(box: Sandbox, tmp_path: Path, number: int) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(300))
    rows = [{**person, "name": "New"} for person in people(300)]
    file = write_csv(tmp_path / "in.csv", rows)
    box.fail("latency", methods="modifycontact", seconds=0.2)
    process = start("contacts", "import", group, file, env=environment_for(box))
    end = time.monotonic() + 30
    while box.count("modifycontact") < 10 and time.monotonic() < end:
        time.sleep(0.02)
    assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_bytes().decode()
    told = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    took = time.monotonic() - told
    assert process.returncode == 1, out + err
    assert "next run carries on" in err
    assert "Traceback" not in out + err
    assert took < 4 + 1
    last = max(index for index, call in enumerate(box.calls) if call.method == "modifycontact")
    assert last < 300
    done = sum(contact["name"] == "New" for contact in box.contacts(group))
    assert 0 < done < 300
    box.clear_faults()
    again = imported(box, group, file)
    assert again.code == 0
    assert f"{300 - done} updated, {done} unchanged" in again.out


def on_terminal(arguments: list[str], env: dict[str, str], answers: dict[str, str] | None = None) -> tuple[int, str]:
    """Run the command on a terminal of its own; ``answers`` are typed when their prompt shows."""
    ours, its = pty.openpty()
    process = subprocess.Popen([*COMMAND, *arguments], env=env, stdin=its, stdout=its, stderr=its, close_fds=True)
    os.close(its)
    shown = ""
    waiting = dict(answers or {})
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if select.select([ours], [], [], 0.1)[0]:
            try:
                part = os.read(ours, 65536)
            except OSError:
                break
            shown += part.decode(errors="replace")
            for prompt in [prompt for prompt in waiting if prompt in shown]:
                os.write(ours, f"{waiting.pop(prompt)}\n".encode())
        elif process.poll() is not None:
            break
    os.close(ours)
    return process.wait(30), shown


def test_a_terminal_gets_a_bar(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(60))
    rows = [{**person, "name": "New"} for person in people(60)]
    box.fail("latency", methods="modifycontact", seconds=0.1)
    arguments = ["contacts", "import", group, str(write_csv(tmp_path / "in.csv", rows))]
    code, shown = on_terminal(arguments, environment_for(box))
    assert code == 0, shown
    assert re.search(r"\[#+ +\] +\d+%  \d+ of 60 written", shown)
    assert "60 updated" in shown


def test_a_terminal_is_asked_for_user_and_password(box: Sandbox) -> None:
    env = environment_for(box)
    del env["AFILNET_USER"], env["AFILNET_PASSWORD"]
    code, shown = on_terminal(["doctor"], env, {"Afilnet user": box.user, "Afilnet password": PASSWORD})
    assert code == 0, shown
    assert "credentials from the prompt" in shown
    assert PASSWORD not in shown


def test_a_terminal_is_asked_before_the_first_write(box: Sandbox, tmp_path: Path) -> None:
    code, shown = on_terminal(["doctor", "--create"], environment_for(box), {"Go on?": "n"})
    assert (code, box.writes, box.groups()) == (2, 0, []), shown
    arguments = ["doctor", "--create", "--report", str(tmp_path), "--longest-list", "20"]
    code, shown = on_terminal(arguments, environment_for(box), {"Go on?": "y"})
    assert code == 0, shown
    assert box.groups() == []


def test_elsewhere_plain_lines_tell_how_far_it_is(box: Sandbox, tmp_path: Path) -> None:
    group = box.create_group("g", "mobile", ["mobile", "name"], people(60))
    out = imported(box, group, write_csv(tmp_path / "in.csv", people(90)))
    assert out.code == 0
    assert "\r" not in out.said
    assert "\x1b" not in out.said
    assert f"Refresh of group {group}: 60 contacts there; plan: 30 to add" in out.err


def test_every_refresh_option_has_its_flag() -> None:
    options = inspect.signature(RefreshOptions.read).parameters
    assert set(HELP) == set(options)
    text = afilnet("contacts", "import", "--help", env={**os.environ, "COLUMNS": "100"}).out
    for name, parameter in options.items():
        flag = f"--{name.replace('_', '-')}"
        assert re.search(rf"{flag}\b", text), name
        if parameter.default is True:
            assert f"--no-{flag[2:]}" in text
