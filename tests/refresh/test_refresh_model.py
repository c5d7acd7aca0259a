"""Random edits on both sides, random refreshes, random faults: after every run the group equals the model's.

A failure prints its steps, which are a test as they stand, and a blob for ``@reproduce_failure``.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from refresh_model import BOTH, Forecast, forecast, spellings
from refresh_world import Ended, World, shown

from airflow_provider_afilnet.hooks.sql_rows import sql_rows
from airflow_provider_afilnet.refresh.rows import TableRows
from airflow_provider_afilnet.sandbox import Sandbox
from airflow_provider_afilnet.sandbox.dialect import Dialect, dialects_of

EXAMPLES = 1500 if os.environ.get("AFILNET_LONG") else 100
FIELDS = ("name", "city", "note")
LATER = "extra"
"""A field that the source has from the start, and the group perhaps later."""
PEOPLE = 12

# --- what may happen -------------------------------------------------------------------------------------------------

_WHO = st.integers(0, PEOPLE - 1)
_HOSTILE = st.sampled_from(
    [
        "a,b", "a:b", "mobile:34699999999,name:x", '"quoted"', "it's", "&=%+", "a+b c%20d", "line\nline", "\ttab\t",
        "  blanks  ", "\n", " ", "😀👨\u200d👩\u200d👧", "\u202eשלום\u202c", "ñandú e\u0301", "<b>&amp;</b>", "\\n\\\"",
        "null", "None", "true", "0", "007", "1e5", "{}", "[]", "\u2028", "\ufeffbom", "x" * 5000, "%00", "#?/",
        "ñ" * 500,
    ]
)  # fmt: skip
_TEXT = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=12)
# Few plain values, so that both sides often agree.
_PLAIN = st.sampled_from(["Ana", "Eva", "", None])
_VALUE = st.one_of(_PLAIN, _PLAIN, _HOSTILE, _TEXT)
_CONTROL = st.sampled_from(["\x07", "a\r\n", "\x1b[0m", "\x7f", "\u0085"])
_FIELD = st.sampled_from(FIELDS)
_VALUES = st.fixed_dictionaries(dict.fromkeys((*FIELDS, LATER), _VALUE))
_UNREADABLE = st.sampled_from([None, "", "  ", "no key", "+34600", "12"])
_HOW = st.sampled_from([0, 0, 0, 1, 2, 3, 4])


def _often(value: Any, *others: Any) -> st.SearchStrategy[Any]:
    """``value`` most of the time: a run that is refused tells little."""
    return st.sampled_from([value] * 6 + list(others))


_OPTIONS = st.fixed_dictionaries(
    {
        "nulls": st.dictionaries(_FIELD, st.sampled_from(["clear", "keep"])),
        "duplicates": _often("first", "last", "last", "last", "fail"),
        "invalid_rows": _often("reject", "fail"),
        "max_rejected": _often(1.0, 0, 1, 0.1, 0.5),
        "max_deletes": _often(1.0, 0, 1, 2, 5, 0.1, 0.5),
        "allow_empty": _often(True, False),
        "allow_empty_suppress": _often(True, False),
        "delete_despite_rejects": st.booleans(),
        "unsafe_values": st.sampled_from(["replace", "replace", "reject", "fail"]),
        "unknown_columns": st.sampled_from(["create", "ignore", "ignore", "fail"]),
        "lossy_fields": st.sampled_from([[], [], [], ["name"], [*FIELDS]]),
        "default_region": _often("ES", None),
        "bare_numbers": _often("national", "international", "international", "international", "fail"),
        "batch_size": st.sampled_from([1, 2, 3, 500]),
        "batch_bytes": st.sampled_from([1, 700, 256 * 1024]),
        "verify": _often(True, False),
        "dry_run": _often(False, True),
    }
)
# Not ``numbers``: where the server shows 007 as 7, what it holds cannot be known.
_DIALECT = st.builds(
    Dialect,
    contacts=_often("flat", *dialects_of("contacts")[1:]),
    stored_value=_often("as-sent", "trim"),
    missing_contact_code=st.sampled_from(["NOT_ACCESS_TO_GROUP", "NOT_ACCESS_TO_CONTACT", "CONTACT_NOT_FOUND"]),
    **{
        name: st.sampled_from(dialects_of(name))
        for name in ("columns", "new_id", "single", "bulk", "status_case", "empty_values", "bulk_dedupes",
                     "modify_merges")
    },
)  # fmt: skip
WRITES = ("addcontact", "addcontactlist", "modifycontact", "deletecontact")
LIES = ("capped_read", "null_read", "absent_read", "hide")
_BREAKS = st.tuples(
    st.sampled_from(
        [
            ("drop_before", {}),
            ("drop_after", {}),
            ("html", {"applied": True}),
            ("html", {"applied": False}),
            ("garbled", {}),
            ("http_500", {}),
            ("rate_limited", {"retry_after": 0.01}),
            ("error", {"code": "SOME_REASON"}),
            ("error", {"code": "NOT_ACCESS_TO_GROUP"}),
        ]
    ),
    st.sampled_from([*WRITES, *WRITES, "getcontacts", "getcontact", "addcolumntogroup"]),
)
_ROWS_LOST = st.tuples(
    st.tuples(
        st.sampled_from(["refuse_row", "lose_row", "hide"]),
        st.lists(_WHO, min_size=1, max_size=4).map(lambda who: {"keys": who}),
    ),
    st.none(),
)
_LIE = st.tuples(
    st.sampled_from(
        [
            ("capped_read", {"limit": 3}),
            ("capped_read", {"limit": 0}),
            ("null_read", {}),
            ("absent_read", {}),
            ("too_large", {"rows": 1}),
        ]
    ),
    st.none(),
)
# Which fault, of which method (none: those that it can hit), how many calls it passes over, how many it hits.
_FAULT = st.tuples(st.one_of(_BREAKS, _BREAKS, _ROWS_LOST, _LIE), st.sampled_from([0, 0, 1, 2]), _often(1, 2, None))
_OPT_OUTS = st.lists(st.tuples(_WHO, _HOW), max_size=3)
# Options, opt-outs and whether one of them is no key, supplied fields, connections, and what goes wrong first.
_REFRESH = st.tuples(
    _OPTIONS,
    st.one_of(st.none(), _OPT_OUTS),
    _often(False, True),
    st.sets(st.sampled_from((*FIELDS, *FIELDS, LATER))),
    st.sampled_from([1, 4]),
    st.one_of(st.none(), _FAULT),
)


_People = dict[int, dict[str, str | None]]


class Source:
    """A table in a real database, read as a task reads it."""

    def __init__(self, conn_id: str, execute: Callable[[str, Sequence[Sequence[Any]]], None], mark: str) -> None:
        self._conn_id = conn_id
        self._execute = execute
        columns = ("phone_or_mail", *FIELDS, LATER)
        execute(f"CREATE TABLE source (n integer, {', '.join(f'{name} text' for name in columns)})", [()])
        self._insert = f"INSERT INTO source VALUES ({', '.join([mark] * (len(columns) + 1))})"

    def write(self, rows: Sequence[dict[str, str | None]]) -> None:
        self._execute("DELETE FROM source", [()])
        self._execute(
            self._insert, [(n, *(row[name] for name in ("key", *FIELDS, LATER))) for n, row in enumerate(rows)]
        )

    def ends(self, world: World, fields: Sequence[str], **how: Any) -> Ended:
        """Refresh the group from a query of these fields."""
        sql = f"SELECT {', '.join(('phone_or_mail', *fields))} FROM source ORDER BY n"
        with sql_rows(self._conn_id, sql) as table:
            return world.ends(TableRows(table.columns, table.rows), column_map={"Phone_Or_Mail": world.kind}, **how)


class RefreshMachine(RuleBasedStateMachine):
    """Source and group are edited at will. After a refresh with a fault comes a healthy one, then a repeat."""

    def __init__(self, box: Sandbox, source: Source) -> None:
        super().__init__()
        self.box, self.source, self.world = box, source, World(box)
        self.rows: list[dict[str, str | None]] = []
        self.suppress: list[str] | None = None
        self.facts: dict[str, bool] = {}

    @initialize(
        kind=_often("mobile", "email", "email"),
        crowd=_often(False, True, True),
        source=st.dictionaries(_WHO, _VALUES, min_size=1),
        group=st.dictionaries(_WHO, _VALUES, min_size=1),
        agreed=st.sets(_WHO),
        answers=st.tuples(_DIALECT, st.booleans()),
    )
    def begin(
        self, kind: str, crowd: bool, source: _People, group: _People, agreed: set[int], answers: tuple[Dialect, bool]
    ) -> None:
        self.box.reset()
        self.answer_otherwise(*answers)
        self.kind = kind
        # In a crowd a few contacts that cannot be read do not stop a run.
        both = {who: dict.fromkeys((*FIELDS, LATER), "Ana") for who in range(100, 320)} if crowd else {}
        both |= {who: values for who, values in source.items() if who in agreed}
        self.rows = [{"key": self._key(who, 0), **values} for who, values in (source | both).items()]
        stored = [
            {kind: self._key(who, 0), **{name: values[name] or "" for name in FIELDS}}
            for who, values in (group | both).items()
        ]
        self.world.make(stored, kind=kind, columns=(kind, *FIELDS))

    def _key(self, who: int, how: int) -> str:
        ways = spellings(self.kind, who)
        return ways[how % len(ways)]

    # --- the source

    @rule(who=_WHO, how=_HOW, values=_VALUES)
    def add_row(self, who: int, how: int, values: dict[str, str | None]) -> None:
        self.rows.append({"key": self._key(who, how), **values})

    @rule(key=st.one_of(_UNREADABLE, st.just(BOTH)), values=_VALUES)
    def add_row_with_a_doubtful_key(self, key: str | None, values: dict[str, str | None]) -> None:
        self.rows.append({"key": key, **values})

    @rule(who=_WHO, field=_FIELD, value=_CONTROL, values=_VALUES)
    def add_row_with_a_control_character(self, who: int, field: str, value: str, values: Any) -> None:
        self.rows.append({"key": self._key(who, 1), **values, field: value})

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), field=st.sampled_from((*FIELDS, LATER)), value=_VALUE)
    def change_row(self, data: st.DataObject, field: str, value: str | None) -> None:
        data.draw(st.sampled_from(self.rows), label="row")[field] = value

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def delete_row(self, data: st.DataObject) -> None:
        del self.rows[data.draw(st.integers(0, len(self.rows) - 1), label="row")]

    # --- the group, by hand

    @property
    def stored(self) -> list[dict[str, str]]:
        return self.world.stored()

    def _add_by_hand(self, key: str, values: dict[str, str | None]) -> None:
        fields = self.box.columns(self.world.group)
        kept = {name: value for name, value in values.items() if name in fields and value}
        self.box.add_contacts(self.world.group, [{**kept, self.kind: key}])

    @rule(who=_WHO, how=_HOW, values=_VALUES)
    def add_by_hand(self, who: int, how: int, values: dict[str, str | None]) -> None:
        self._add_by_hand(self._key(who, how), values)

    @precondition(lambda self: len(self.stored) >= 200)
    @rule(values=_VALUES)
    def add_a_stranger_by_hand(self, values: dict[str, str | None]) -> None:
        self._add_by_hand("12", values)

    @precondition(lambda self: self.stored)
    @rule(data=st.data(), field=_FIELD, value=_VALUE)
    def change_by_hand(self, data: st.DataObject, field: str, value: str | None) -> None:
        contact = data.draw(st.sampled_from(self.stored), label="contact")
        number = int(contact.pop("idcontact"))
        group = self.box._group(self.world.group)
        self.box._state.store.replace_contacts(group, [(number, contact | {field: value or ""})])

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def double_by_hand(self, data: st.DataObject) -> None:
        contact = dict(data.draw(st.sampled_from(self.stored), label="contact"))
        del contact["idcontact"]
        self.box.add_contacts(self.world.group, [contact])

    @precondition(lambda self: self.stored)
    @rule(data=st.data())
    def delete_by_hand(self, data: st.DataObject) -> None:
        contact = data.draw(st.sampled_from(self.stored), label="contact")
        self.box.remove_contacts(self.world.group, [contact["idcontact"]])

    @precondition(lambda self: LATER not in self.box.columns(self.world.group))
    @rule()
    def add_column_by_hand(self) -> None:
        self.box._state.store.set_fields(self.box._group(self.world.group), (self.kind, *FIELDS, LATER))

    # --- the server

    @rule(dialect=_DIALECT, told=st.booleans())
    def answer_otherwise(self, dialect: Dialect, told: bool) -> None:
        self.box.dialect = dialect
        told_of = ("bulk_dedupes", "modify_merges")
        self.facts = {name: getattr(dialect, name) for name in told_of} if told else {}

    # --- the refresh

    # A rule for each mode: a refresh is to come as often as an edit.

    @rule(how=_REFRESH)
    def insert(self, how: Any) -> None:
        self._refresh("insert", *how)

    @rule(how=_REFRESH)
    def update(self, how: Any) -> None:
        self._refresh("update", *how)

    @rule(how=_REFRESH)
    def upsert(self, how: Any) -> None:
        self._refresh("upsert", *how)

    @rule(how=_REFRESH)
    def mirror(self, how: Any) -> None:
        self._refresh("mirror", *how)

    @rule(how=_REFRESH)
    def remove(self, how: Any) -> None:
        self._refresh("remove", *how)

    def _refresh(
        self,
        mode: str,
        o: dict[str, Any],
        opt_outs: list[tuple[int, int]] | None,
        junk: bool,
        fields: set[str],
        connections: int,
        fault: Any,
    ) -> None:
        self.suppress = None if opt_outs is None else [self._key(*one) for one in opt_outs] + ["no key"] * junk
        self.source.write(self.rows)
        how = ({"mode": mode, **o}, tuple(sorted(fields)), connections)
        if fault is not None:
            self._run_with_a_fault(fault, *how)
        # Whatever a fault left behind, this puts right, or says why not, as from any other state.
        foretold = self._run(*how)
        if foretold.quiet and not o["dry_run"]:
            repeat = self._run(*how)
            assert repeat.group == foretold.group
            assert self.box.writes == 0, "a repeat writes"

    def _foretell(self, o: dict[str, Any], fields: tuple[str, ...]) -> Forecast:
        return forecast(
            self.stored,
            self.rows,
            o,
            kind=self.kind,
            supplied=fields,
            columns=self.box.columns(self.world.group),
            suppress=self.suppress,
            dialect=self.box.dialect,
            merges=self.facts.get("modify_merges", False),
        )

    def _ends(self, o: dict[str, Any], fields: tuple[str, ...], connections: int) -> Ended:
        self.box.clear_calls()
        told = {"max_connections": connections, "facts": self.facts}
        out = None if self.suppress is None else list(self.suppress)
        return self.source.ends(self.world, fields, settings=told, suppress=out, settle=0.03, **o)

    def _run(self, o: dict[str, Any], fields: tuple[str, ...], connections: int) -> Forecast:
        """A healthy run does exactly what the model says."""
        foretold = self._foretell(o, fields)
        columns = self.box.columns(self.world.group)
        ended = self._ends(o, fields, connections)
        for part in foretold.stops:
            assert part in ended.message, ended
        if foretold.red:
            assert any(reason in ended.message for reason in foretold.red), ended
        assert ended.green == (not foretold.stops and not foretold.red), ended
        assert self.world.now() == foretold.group
        if foretold.stops or o["dry_run"]:
            assert self.box.writes == 0
        if self.box.writes and LATER in fields and o["unknown_columns"] == "create" and o["mode"] != "remove":
            columns = [*dict.fromkeys([*columns, LATER])]
        assert self.box.columns(self.world.group) == columns
        if foretold.counts is not None:
            assert ended.counts is not None
            assert shown(ended.counts) == foretold.counts
        return foretold

    def _run_with_a_fault(self, fault: Any, o: dict[str, Any], fields: tuple[str, ...], connections: int) -> None:
        """Green is as the model says all the same; red has deleted nobody else and doubled nobody."""
        ((kind, detail), methods), after, count = fault
        if "keys" in detail:
            detail = {"keys": [spellings(self.kind, who)[0] for who in detail["keys"]]}
        if count is None and kind not in ("refuse_row", "lose_row", "hide", "capped_read", "error", "too_large"):
            count = 2  # What is repeated in place takes long when it never passes.
        if kind in LIES or kind == "lose_row":
            # Without the last read no lie in the first and no loss can be found out: that is what verify=False says.
            o = o | {"verify": True}
        foretold = self._foretell(o, fields)
        before, doubled = self.stored, _doubled(self.stored, self.kind)
        set_fault = self.box.fail(kind, methods=methods, after=after, count=count, **detail)
        ended = self._ends(o, fields, connections)
        self.box.clear_faults()
        lied = kind in LIES and set_fault.hits > 0
        if ended.green and lied and set_fault.hits == self.box.count("getcontacts"):
            # Where every read lies, it cannot be found out, save by an addition that meets whom they hide.
            pass
        elif ended.green and lied and foretold.stops == ["only mode 'insert' can"]:
            # A first read of nobody hides that there are no ids; the run is green if it could do without.
            assert self.box.count("modifycontact", "deletecontact") == 0
        elif ended.green:
            assert not foretold.stops, (foretold, ended)
            assert not foretold.red, (foretold, ended)
            assert self.world.now() == foretold.group
            # Whom a lying read hid at first counts as what the later read showed.
            if foretold.counts is not None and not lied:
                assert ended.counts is not None
                assert shown(ended.counts) == foretold.counts
        elif foretold.stops and not lied:
            assert self.box.writes == 0
        gone = {contact["idcontact"] for contact in before} - {contact["idcontact"] for contact in self.stored}
        assert gone <= foretold.may_go, ended
        # Where a bad read let the run make a copy, a guardrail may stop it before the copy is taken away, and says so.
        if not (lied and "Nothing more was written" in ended.message):
            assert _doubled(self.stored, self.kind) <= doubled, ended


def _doubled(contacts: Sequence[dict[str, str]], kind: str) -> Counter[str]:
    """How many contacts too many there are of each key."""
    return Counter(contact[kind] for contact in contacts) - Counter({contact[kind] for contact in contacts})


# --- the tests -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def box() -> Iterator[Sandbox]:
    with Sandbox(user="u", password="p") as sandbox:
        yield sandbox


@pytest.fixture(autouse=True)
def no_logs() -> Iterator[None]:
    """Some ten thousand refreshes log more than pytest can well keep in memory."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def _play(box: Sandbox, source: Source) -> None:
    run_state_machine_as_test(
        lambda: RefreshMachine(box, source),
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=14,
            deadline=None,
            print_blob=True,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
        ),
    )


@pytest.mark.timeout(3600)
def test_from_sqlite(box: Sandbox, tmp_path: Path, make_conn: Callable[..., None]) -> None:
    path = tmp_path / "source.db"
    make_conn("file", conn_type="sqlite", host=str(path))
    with closing(sqlite3.connect(path)) as database:
        # What is of no use after a crash need not wait for the disk.
        database.execute("PRAGMA synchronous = OFF")

        def execute(sql: str, many: Sequence[Sequence[Any]]) -> None:
            with database:
                database.executemany(sql, many)

        _play(box, Source("file", execute, "?"))


@pytest.mark.timeout(3600)
def test_from_postgresql(box: Sandbox, postgres: Any) -> None:
    def execute(sql: str, many: Sequence[Sequence[Any]]) -> None:
        with postgres.cursor() as cursor:
            cursor.executemany(sql, many)

    _play(box, Source("warehouse", execute, "%s"))
