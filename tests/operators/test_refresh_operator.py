"""The operator that makes a group follow a list or a file: options, result, outlets, and being killed."""

from __future__ import annotations

import inspect
import json
import signal
import threading
import time
from collections import UserList
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowFailException, Asset, BaseOperator, ObjectStoragePath
from task_logs import PASSWORD, Logs, variables_of

from airflow_provider_afilnet import exceptions
from airflow_provider_afilnet.operators.contacts import AfilnetGetContactsOperator, AfilnetUpsertContactsOperator
from airflow_provider_afilnet.operators.groups import AfilnetGetGroupColumnsOperator
from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.sandbox import Sandbox

pytestmark = pytest.mark.usefixtures("afilnet_conn")

Run = Callable[..., Any]

ANA = {"mobile": "34600000001", "name": "Ana"}
BEN = {"mobile": "34600000002", "name": "Ben"}
EVA = {"mobile": "34600000003", "name": "Eva"}


@pytest.fixture
def group(sandbox: Sandbox) -> str:
    return sandbox.create_group("customers", "mobile", ["mobile", "name"], [ANA])


def upsert(group: str, contacts: Any, **options: Any) -> AfilnetUpsertContactsOperator:
    return AfilnetUpsertContactsOperator(
        **{"task_id": "t", "group_id": group, "contacts": contacts, "settle": 0.2, **options}
    )


def people(sandbox: Sandbox, group: str) -> list[dict[str, str]]:
    return [{k: v for k, v in contact.items() if k != "idcontact"} for contact in sandbox.contacts(group)]


# --- options ---------------------------------------------------------------------------------------------------------


def test_the_operators_options_are_those_of_the_engine() -> None:
    """Names and defaults, so that the two cannot drift."""
    engine = inspect.signature(RefreshOptions.read).parameters
    operator = inspect.signature(AfilnetRefreshOperator.__init__).parameters
    own = {"self", "group_id", "suppress", "suppress_sql", "suppress_conn_id", "report_path", "kwargs"}
    assert set(operator) - own == set(engine)
    assert {name: operator[name].default for name in engine} == {name: p.default for name, p in engine.items()}


def test_every_option_is_documented_and_templated() -> None:
    documented = inspect.getdoc(AfilnetRefreshOperator) or ""
    for name in inspect.signature(AfilnetRefreshOperator.__init__).parameters:
        if name in ("self", "kwargs"):
            continue
        assert f":param {name}:" in documented, name
        assert {"dry_run": "plan_only"}.get(name, name) in AfilnetRefreshOperator.template_fields, name


def test_airflows_own_dry_run_still_works(group: str) -> None:
    """Our option of that name must not stand in its way."""
    task = upsert(group, [ANA])
    assert getattr(type(task), "dry_run", None) is getattr(BaseOperator, "dry_run", None)
    if hasattr(task, "dry_run"):
        task.dry_run()


def test_templated_text_is_read(run_task: Run, sandbox: Sandbox, group: str) -> None:
    task = upsert(
        "{{ params.g }}",
        [ANA, BEN],
        mode="{{ 'mirror' }}",
        max_deletes="{{ 5 }}",
        dry_run="{{ params.dry }}",
        verify="{{ True }}",
        batch_size="{{ 2 }}",
        params={"g": group, "dry": True},
    )
    result = run_task(task)
    assert result.state == "success", result.error
    assert (result.value["mode"], result.value["dry_run"], result.value["added"]) == ("mirror", True, 1)
    assert sandbox.writes == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"mode": "sync"},
        {"dry_run": "perhaps"},
        {"max_deletes": "10%"},
        {"suppress": "34600000001"},
        {"suppress": b"34600000001"},
        {"suppress": iter(["34600000001"])},
        {"suppress_sql": "select 1"},
        {"suppress_conn_id": "people"},
        {"suppress_conn_id": "people", "suppress": ["34600000001"]},
        {"report_path": ""},
        {"group_id": "None"},
        {"contacts": "[{'mobile': '34600000002'}]"},
        {"contacts": {"mobile": "34600000002"}},
        {"contacts": [5]},
        {"contacts": "people.xlsx"},
        {"contacts": Path("people.xlsx")},
        {"contacts": b"people.csv"},
        {"contacts": None},
        {"contacts": "foo://bucket/people.csv"},
        {"contacts": "gs://bucket/people.csv"},
    ],
)
def test_wrong_options_end_without_retries_and_write_nothing(
    run_task: Run, sandbox: Sandbox, group: str, wrong: dict[str, Any]
) -> None:
    result = run_task(upsert(**{"group": group, "contacts": [ANA], **_renamed(wrong)}, retries=3))
    assert result.state == "failed"
    assert isinstance(result.error, AirflowFailException)
    assert sandbox.writes == 0


def _renamed(wrong: dict[str, Any]) -> dict[str, Any]:
    return {"group" if name == "group_id" else name: value for name, value in wrong.items()}


def test_text_that_was_to_be_a_list_is_not_shown(run_task: Run, group: str) -> None:
    result = run_task(upsert(group, "[{'mobile': '34600000002'}]"))
    assert "34600000002" not in str(result.error)
    assert "task.output" in str(result.error)


@pytest.mark.parametrize(
    ("option", "asked"),
    [
        ("suppress", {}),
        ("suppress_sql", {"suppress_conn_id": "people"}),
        ("suppress_conn_id", {"suppress_sql": "select 1"}),
        ("report_path", {}),
    ],
)
@pytest.mark.parametrize("how", ["output", "template"])
def test_an_option_that_loses_its_value_stops_the_run(
    run_task: Run, sandbox: Sandbox, group: str, option: str, asked: dict[str, Any], how: str
) -> None:
    """Another task's result that is None must not read as if nobody had asked for the option."""
    with DAG("lost", schedule=None):
        upstream = AfilnetGetGroupColumnsOperator(task_id="up", group_id="1")
        value = upstream.output if how == "output" else "{{ params.x }}"
        task = upsert(group, [BEN], retries=3, params={"x": None}, **asked, **{option: value})
    result = run_task(task, xcoms={("up", "return_value"): None})
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, exceptions.AfilnetOptionError)
    assert f"{option} was given, but has no value" in str(result.error)
    assert sandbox.calls == []


@pytest.mark.parametrize(
    ("contacts", "says"),
    [
        (None, "a list of contacts or a path that ends in .jsonl or .csv, not NoneType"),
        (5, "not int"),
        (b"people.csv", "not bytes"),
        ({"mobile": "1"}, "not dict"),
        ("foo://bucket/people.csv", "storage that cannot be used here"),
        ("gs://bucket/people.csv", "provider package"),
    ],
)
def test_what_is_no_source_is_named(run_task: Run, group: str, contacts: Any, says: str) -> None:
    result = run_task(upsert(group, contacts))
    assert says in str(result.error)


# --- sources ---------------------------------------------------------------------------------------------------------


def test_a_list(run_task: Run, sandbox: Sandbox, group: str) -> None:
    result = run_task(upsert(group, [{**ANA, "name": "Anna"}, BEN]))
    assert result.state == "success", result.error
    assert people(sandbox, group) == [{**ANA, "name": "Anna"}, BEN]
    counts = result.value
    assert (counts["added"], counts["updated"], counts["source_rows"]) == (1, 1, 2)
    assert len(json.dumps(counts)) <= 2048
    assert run_task(upsert(group, [{**ANA, "name": "Anna"}, BEN])).value["unchanged"] == 2


def test_a_json_lines_file(run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path) -> None:
    source = tmp_path / "in.jsonl"
    lines = [json.dumps(BEN), "", '{"mobile": 34600000003, "name": 1.10}']
    source.write_text("\n".join(lines), encoding="utf-8-sig")
    result = run_task(upsert(group, f"file://{source}"))
    assert result.state == "success", result.error
    assert people(sandbox, group) == [ANA, BEN, {"mobile": "34600000003", "name": "1.10"}]


def test_a_csv_file(run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path) -> None:
    source = tmp_path / "in.csv"
    source.write_text('phone,name\r\n34600000002,"Ben, the\nsecond"\r\n\r\n34600000003,007\r\n', encoding="utf-8-sig")
    result = run_task(upsert(group, str(source), column_map={"phone": "mobile"}))
    assert result.state == "success", result.error
    names = {person["name"] for person in people(sandbox, group)}
    assert names == {"Ana", "Ben, the\nsecond", "007"}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("in.jsonl", b'{"mobile": "34600000002"}\nnot json\n', "in.jsonl, line 2: not a JSON object"),
        ("in.jsonl", b"[1]\n", "line 1: not a JSON object"),
        ("in.jsonl", b'{"mobile": ' + b"[" * 100_000 + b"\n", "line 1: not a JSON object"),
        ("in.jsonl", b'{"mobile": ' + b"3" * 5_000 + b"}\n", "line 1: not a JSON object"),
        ("in.jsonl", b'{"mobile": "\xff"}\n', "not UTF-8"),
        ("in.csv", b"mobile,name\n34600000002\n", "line 2: 1 values for 2 columns"),
        ("in.csv", b"mobile,\n1,2\n", "name every column"),
        ("in.csv", b"", "name every column"),
        ("in.csv", b'mobile,name\n34600000002,"Ben', "line 2"),
        ("in.csv", b"mobile,name\n34600000002,\xff\n", "not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_writes_nothing(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, name: str, content: bytes, says: str
) -> None:
    source = tmp_path / name
    source.write_bytes(content)
    result = run_task(upsert(group, str(source), retries=3))
    assert result.state == "failed"
    assert says in str(result.error)
    assert "34600000002" not in str(result.error)
    assert sandbox.writes == 0


def test_a_missing_file_is_an_error(run_task: Run, group: str, tmp_path: Path) -> None:
    for path in (tmp_path / "in.csv", tmp_path):
        result = run_task(upsert(group, f"{path}/x.csv", retries=3))
        assert result.state == "failed"
        assert isinstance(result.error.__cause__, exceptions.AfilnetSourceError)
        assert f"{path}/x.csv" in str(result.error)


@pytest.mark.parametrize("kind", ["text", "ObjectStoragePath", "PathLike"])
@pytest.mark.parametrize("ending", [".csv", ".CSV", ".jsonl", ".JsonL"])
def test_a_path_of_any_kind_and_ending(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, kind: str, ending: str
) -> None:
    source = tmp_path / f"in{ending}"
    source.write_text("mobile,name\n34600000002,Ben\n" if ending.lower() == ".csv" else json.dumps(BEN))
    made = {"text": str, "ObjectStoragePath": lambda path: ObjectStoragePath(str(path)), "PathLike": Path}
    result = run_task(upsert(group, made[kind](source)))
    assert result.state == "success", result.error
    assert people(sandbox, group) == [ANA, BEN]
    refused = run_task(upsert(group, made[kind](tmp_path / "in.txt")))
    assert "a path that ends in .jsonl or .csv" in str(refused.error)


@pytest.mark.parametrize("kind", ["list", ".jsonl", ".csv"])
def test_contacts_that_were_read_can_be_fed_back(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, kind: str
) -> None:
    other = sandbox.create_group("copy", "mobile", ["mobile", "name", "origin"])
    path = None if kind == "list" else str(tmp_path / f"out{kind}")
    got = run_task(AfilnetGetContactsOperator(task_id="t", group_id=group, output_path=path)).value
    contacts = got if path is None else path
    result = run_task(upsert(other, contacts))
    assert result.state == "success", result.error
    assert people(sandbox, other) == [ANA]
    # Whoever maps it wants it.
    result = run_task(upsert(other, contacts, column_map={"IDContact": "origin"}))
    assert result.state == "success", result.error
    assert people(sandbox, other) == [{**ANA, "origin": sandbox.contacts(group)[0]["idcontact"]}]


def test_any_sequence_is_a_list(run_task: Run, sandbox: Sandbox, group: str) -> None:
    result = run_task(upsert(group, UserList([BEN, EVA]), suppress=UserList([BEN["mobile"]])))
    assert result.state == "success", result.error
    assert people(sandbox, group) == [ANA, EVA]


# --- opt-outs --------------------------------------------------------------------------------------------------------


def test_listed_opt_outs_are_removed_and_never_added(run_task: Run, sandbox: Sandbox, group: str) -> None:
    result = run_task(upsert(group, [BEN, EVA], suppress=[ANA["mobile"], BEN["mobile"]]))
    assert result.state == "success", result.error
    assert people(sandbox, group) == [EVA]
    assert result.value["suppressed"] == 1


def test_opt_outs_from_a_query_are_joined_with_listed_ones(
    run_task: Run, sandbox: Sandbox, group: str, sqlite_people: str
) -> None:
    task = upsert(
        group,
        [BEN, EVA],
        suppress=[ANA["mobile"]],
        suppress_sql="select mobile, 'any' from optouts",
        suppress_conn_id=sqlite_people,
    )
    result = run_task(task)
    assert result.state == "success", result.error
    assert people(sandbox, group) == [EVA]


def test_a_query_of_opt_outs_that_fails_writes_nothing(
    run_task: Run, sandbox: Sandbox, group: str, sqlite_people: str
) -> None:
    for query in ("select mobile from nowhere", "select mobile from optouts where 1 = 0"):
        result = run_task(upsert(group, [BEN], suppress_sql=query, suppress_conn_id=sqlite_people))
        assert result.state == "failed"
    assert sandbox.writes == 0


@pytest.fixture
def sqlite_people(tmp_path: Path, make_conn: Callable[..., None]) -> str:
    import sqlite3

    path = tmp_path / "people.db"
    with sqlite3.connect(path) as database:
        database.execute("create table optouts (mobile text)")
        database.execute("insert into optouts values ('34600000002')")
    database.close()
    make_conn("people", conn_type="sqlite", host=str(path))
    return "people"


# --- ends ------------------------------------------------------------------------------------------------------------


def test_errors_end_the_task_as_they_deserve(run_task: Run, sandbox: Sandbox, group: str) -> None:
    result = run_task(upsert(group, [], retries=1))
    assert result.state == "failed"
    assert isinstance(result.error.__cause__, exceptions.AfilnetRefreshError)
    sandbox.fail("error", code="INCORRECT_USER_PASSWORD")
    assert run_task(upsert(group, [BEN], retries=1)).state == "failed"


def test_the_report_goes_where_it_was_asked_to(run_task: Run, group: str, tmp_path: Path) -> None:
    result = run_task(upsert(group, [{**ANA, "name": "Anna"}], report_path=f"file://{tmp_path}/{{{{ run_id }}}}"))
    assert result.state == "success", result.error
    assert (tmp_path / "manual__t" / "report.json").exists()
    assert result.value["report_path"].endswith("/manual__t")


def test_outlets_get_the_counts_and_nobody(run_task: Run, group: str) -> None:
    asset = Asset("afilnet://group/1000")
    result = run_task(upsert(group, [BEN], outlets=[asset]))
    assert result.state == "success", result.error
    extra = result.context["outlet_events"][asset].extra
    assert extra == result.value
    assert extra["added"] == 1
    assert "34600000002" not in json.dumps(extra)


def test_an_outlet_that_cannot_be_told_does_not_fail_the_task(
    run_task: Run, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = upsert(group, [BEN], outlets=[Asset("afilnet://group/1000")])
    real = task.work
    monkeypatch.setattr(task, "work", lambda context: real({**context, "outlet_events": None}))
    assert run_task(task).state == "success"


def test_a_red_task_leaves_no_event(run_task: Run, group: str) -> None:
    asset = Asset("afilnet://group/1000")
    result = run_task(upsert(group, [], outlets=[asset]))
    assert result.state == "failed"
    assert result.context["outlet_events"][asset].extra == {}


def test_a_kill_stops_the_writing_and_the_task_is_not_green(run_task: Run, sandbox: Sandbox, group: str) -> None:
    """SIGTERM as the supervisor sends it: Airflow's handler calls ``on_kill`` in the main thread."""
    sandbox.fail("latency", seconds=0.05)
    rows = [{"mobile": f"3461{n:07}", "name": "x"} for n in range(2000)]
    began: list[float] = []

    def stop() -> None:
        began.append(time.monotonic())
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    stopper = threading.Timer(1.5, stop)
    before = signal.getsignal(signal.SIGTERM)
    stopper.start()
    try:
        result = run_task(upsert(group, rows, batch_size=5, retries=1))
    finally:
        stopper.join()
        signal.signal(signal.SIGTERM, before)
    assert time.monotonic() - began[0] < 4
    assert result.state == "up_for_retry"
    assert isinstance(result.error, exceptions.AfilnetStoppedError)
    writes = sandbox.writes
    time.sleep(0.5)
    assert sandbox.writes == writes
    assert len(sandbox.contacts(group)) < len(rows), "it was ended, and did not merely come to its end"


def test_a_kill_before_the_first_row_writes_nothing(
    run_task: Run, sandbox: Sandbox, group: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = AfilnetUpsertContactsOperator.open_rows

    def killed_meanwhile(self: AfilnetUpsertContactsOperator, context: Any) -> Any:
        self.on_kill()
        return real(self, context)

    monkeypatch.setattr(AfilnetUpsertContactsOperator, "open_rows", killed_meanwhile)
    assert run_task(upsert(group, [BEN], retries=1)).state == "up_for_retry"
    assert sandbox.writes == 0


def test_a_kill_at_the_very_end_is_not_green(run_task: Run, group: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow_provider_afilnet.refresh.engine import Refresh

    real = Refresh.run
    running: list[AfilnetUpsertContactsOperator] = []

    class Noted(AfilnetUpsertContactsOperator):
        def open_rows(self, context: Any) -> Any:
            running.append(self)
            return super().open_rows(context)

    def killed_after(self: Refresh, *args: Any, **kwargs: Any) -> Any:
        result = real(self, *args, **kwargs)
        running[0].on_kill()
        return result

    monkeypatch.setattr(Refresh, "run", killed_after)
    result = run_task(Noted(task_id="t", group_id=group, contacts=[BEN], retries=1))
    assert result.state == "up_for_retry"
    assert isinstance(result.error, exceptions.AfilnetStoppedError)


def test_nothing_personal_and_no_secret_is_left_behind(
    run_task: Run, sandbox: Sandbox, group: str, tmp_path: Path, logs: Logs
) -> None:
    phone, name = "34611223344", "Zoraida"
    source = tmp_path / "in.jsonl"
    source.write_text(
        json.dumps({"mobile": phone, "name": name}) + "\n" + json.dumps({"mobile": "+34 611", "name": name})
    )
    left = []
    for options in ({}, {"invalid_rows": "reject", "max_rejected": 1}):
        result = run_task(upsert(group, str(source), **options))
        left += [repr(result.error), repr(result.error and result.error.__cause__), repr(result.task)]
        # What the masker is told to mask goes to it in clear.
        left += [repr(message) for message in result.sent if type(message).__name__ != "MaskSecret"]
    assert phone in {contact["mobile"] for contact in sandbox.contacts(group)}
    everything = "\n".join(left) + logs.text
    for secret in (PASSWORD, phone, name):
        assert secret not in everything


def test_an_error_takes_no_people_along_in_the_variables_of_its_calls(run_task: Run, group: str) -> None:
    """The console of Airflow 3.0 prints them beside the traceback."""
    rows = [{"mobile": "34611223344", "name": "Zoraida"}, {"mobile": "+34 611", "name": "Zoraida"}]
    kept = variables_of(run_task(upsert(group, rows)).error)
    assert len(kept) > 5
    for secret in (PASSWORD, "34611223344", "+34 611", "Zoraida"):
        assert secret not in "\n".join(kept)
