"""What the refresh tests share: a group in a sandbox, a refresh of it, and a small model of what must come out."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.settings import ApiFacts, ClientSettings
from airflow_provider_afilnet.refresh.engine import Refresh
from airflow_provider_afilnet.refresh.errors import AfilnetRefreshError
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.report import RefreshResult
from airflow_provider_afilnet.refresh.rows import DictRows, TableRows
from airflow_provider_afilnet.sandbox import Sandbox

COLUMNS = ("mobile", "name", "city")
SETTLE = 0.2
MODES = ("insert", "update", "upsert", "mirror", "remove")
COUNTED = ("suppressed", "duplicates", "rejected", "skipped", "unchanged", "added", "updated", "removed", "failed")


def phone(number: int) -> str:
    """A valid Spanish mobile in the canonical form."""
    return f"346{number:08d}"


def person(number: int, **values: str) -> dict[str, str]:
    """A contact with plain values, which ``values`` overrule."""
    return {"mobile": phone(number), "name": f"Name {number}", "city": f"City {number % 7}"} | values


def people(*numbers: int, **values: str) -> list[dict[str, str]]:
    return [person(number, **values) for number in numbers]


def forty_people() -> list[dict[str, str]]:
    """A group to begin with."""
    return people(*range(40))


def forty_changed() -> list[dict[str, Any]]:
    """Rows for them: ten equal, ten changed, five with a null, five new."""
    changed = [person(n, name=f"Other {n}") for n in range(10, 20)]
    nulls: list[dict[str, Any]] = [{**person(n), "city": None} for n in range(20, 25)]
    return [*people(*range(10)), *changed, *nulls, *people(*range(100, 105))]


def table(rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = COLUMNS) -> TableRows:
    return TableRows(columns, [[row.get(name) for name in columns] for row in rows])


@dataclass
class Ended:
    """How a refresh ended: one of ``result`` (green) and ``error`` (red) is set."""

    result: RefreshResult | None
    error: AfilnetError | None

    @property
    def green(self) -> bool:
        return self.error is None

    @property
    def message(self) -> str:
        return "" if self.error is None else str(self.error)

    @property
    def counts(self) -> RefreshResult | None:
        """The counts, also of a red refresh that got as far."""
        return self.result if self.error is None else getattr(self.error, "result", None)


class World:
    """One group in one sandbox."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.kind = "mobile"
        self.columns: tuple[str, ...] = COLUMNS
        self.group = ""

    def make(
        self, contacts: Iterable[Mapping[str, str]] = (), columns: Sequence[str] = COLUMNS, kind: str = "mobile"
    ) -> str:
        """Make the group, which the other methods work with from now on."""
        self.kind, self.columns = kind, tuple(columns)
        self.group = self.sandbox.create_group("g", kind, list(columns), list(contacts))
        return self.group

    def settings(self, **changes: Any) -> ClientSettings:
        given: dict[str, Any] = {"max_requests_per_second": 0, "timeout": 5.0, **changes}
        if isinstance(given.get("facts"), Mapping):
            given["facts"] = ApiFacts(**given["facts"])
        return ClientSettings(self.sandbox.user, self.sandbox.password, self.sandbox.url, **given)

    def refresh(self, settings: Mapping[str, Any] | None = None, report: Any = None, **options: Any) -> Refresh:
        options = {"settle": SETTLE, **options}
        return Refresh(
            self.settings(**(settings or {})), self.group, RefreshOptions.read(**options), report_folder=report
        )

    def run(
        self,
        rows: Any,
        *,
        suppress: Any = None,
        settings: Mapping[str, Any] | None = None,
        report: Any = None,
        **options: Any,
    ) -> RefreshResult:
        """Refresh; ``rows`` are a row source, or mappings that all have the columns of the group."""
        source = rows if isinstance(rows, (TableRows, DictRows)) else table(rows, self.columns)
        given: Callable[[], Iterable[object]] | None
        given = suppress if suppress is None or callable(suppress) else lambda: suppress
        result = self.refresh(settings, report, **options).run(source, suppress=given)
        check_result(result)
        return result

    def ends(self, rows: Any, **how: Any) -> Ended:
        """Refresh, and catch what it raises."""
        try:
            return Ended(self.run(rows, **how), None)
        except AfilnetError as error:
            if isinstance(error, AfilnetRefreshError) and error.result is not None:
                check_result(error.result)
            return Ended(None, error)

    def refused(self, rows: Any, **how: Any) -> str:
        """Refresh, see it stop without a write or a retry, and answer its message."""
        before = self.stored()
        self.sandbox.clear_calls()
        ended = self.ends(rows, **how)
        assert ended.error is not None, f"green: {ended.result}"
        assert self.sandbox.writes == 0
        assert self.stored() == before
        assert not ended.error.retryable
        return ended.message

    def stored(self) -> list[dict[str, str]]:
        """The contacts with their ids."""
        return self.sandbox.contacts(self.group)

    def ids(self) -> dict[str, str]:
        """Key to contact id."""
        return {contact[self.kind]: contact["idcontact"] for contact in self.stored()}

    def now(self) -> Counter[str]:
        """The contacts without their ids, each as JSON, with how often it is there."""
        return bag({k: v for k, v in contact.items() if k != "idcontact"} for contact in self.stored())

    def wait_for(self, method: str, count: int = 1) -> None:
        """Wait until so many calls of the method have arrived."""
        end = time.monotonic() + 30
        while self.sandbox.count(method) < count:
            assert time.monotonic() < end, f"no {count} calls of {method} within 30 s"
            time.sleep(0.005)

    def when(self, method: str, do: Callable[[], object], count: int = 1, *, later: float = 0.0) -> threading.Thread:
        """Do something ``later`` seconds after a call has arrived, beside the refresh."""
        thread = threading.Thread(target=lambda: (self.wait_for(method, count), time.sleep(later), do()), daemon=True)
        thread.start()
        return thread

    def quiet(self, rows: Any, **how: Any) -> None:
        """A repeat reads the columns and the group, and writes nothing."""
        self.sandbox.clear_calls()
        result = self.run(rows, **how)
        assert (self.sandbox.writes, result.requests, result.rounds) == (0, 2, 0), result
        assert [call.method for call in self.sandbox.calls] == ["getgroupcolumns", "getcontacts"]


def check_result(result: RefreshResult) -> None:
    """What holds for every result: it adds up, is small, and is about nobody."""
    assert result.source_rows == sum(getattr(result, name) for name in COUNTED), result
    assert result.adds_up
    text = json.dumps(result.as_dict())
    assert len(text) < 2048
    assert "@" not in text
    assert "34600" not in text


def bag(contacts: Iterable[Mapping[str, str]]) -> Counter[str]:
    """Contacts as a multiset; a blank value is the same as none."""
    return Counter(
        json.dumps({name: value for name, value in contact.items() if value}, sort_keys=True, ensure_ascii=False)
        for contact in contacts
    )


def expected(
    before: Iterable[Mapping[str, str]],
    rows: Iterable[Mapping[str, str | None]],
    mode: str,
    *,
    clear: Iterable[str] = (),
    suppress: Iterable[str] = (),
    key: str = "mobile",
) -> tuple[Counter[str], dict[str, int]]:
    """A little model, written apart from the planner: the contacts afterwards, and the counts that are not 0.

    For a group without doubles, and rows with unique canonical keys.
    """
    group = {contact[key]: {k: v for k, v in contact.items() if v and k != "idcontact"} for contact in before}
    out, counts, wanted = set(suppress), Counter[str](), set()
    for row in rows:
        who = str(row[key])
        wanted.add(who)
        if who in out:
            counts["suppressed"] += 1
            continue
        there = group.get(who)
        if mode == "remove":
            counts["skipped" if there is None else "removed"] += 1
            if there is not None:
                del group[who]
                counts["deleted"] += 1
            continue
        if (mode == "insert" and there is not None) or (mode == "update" and there is None):
            counts["skipped"] += 1
            continue
        new = dict(there or {key: who})
        for name, value in row.items():
            if name == key:
                continue
            if value:
                new[name] = value
            elif name in set(clear):
                new.pop(name, None)
        counts["added" if there is None else "unchanged" if new == there else "updated"] += 1
        group[who] = new
    for who in list(group):
        if who in out:
            counts["deleted_suppressed"] += 1
            del group[who]
        elif mode == "mirror" and who not in wanted:
            counts["deleted"] += 1
            del group[who]
    return bag(group.values()), dict(counts)


def shown(result: RefreshResult) -> dict[str, int]:
    """The counts of a result that are not 0."""
    names = (*COUNTED, "deleted", "deleted_suppressed", "deleted_duplicates")
    return {name: getattr(result, name) for name in names if getattr(result, name)}
