"""Rows from real databases: streamed, closed, and one query only."""

from __future__ import annotations

import itertools
import logging
import re
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from airflow_of import VERSION
from task_logs import Logs

from airflow_provider_afilnet.exceptions import AfilnetSourceError, AfilnetStoppedError
from airflow_provider_afilnet.hooks import sql_rows as module
from airflow_provider_afilnet.hooks.single_query import single_query
from airflow_provider_afilnet.hooks.sql_rows import sql_rows


@pytest.mark.parametrize(
    "sql",
    [
        "select 1",
        " select 1 ; ",
        "select 1; -- the end",
        "-- the start\nselect 1;;",
        "/* all */ select ';' as a",
        "with a as (select 1) select * from a",
        "(select 1) union (select 2)",
        "values (1)",
        'select 1 as "a;b" -- ; \n from x',
        "((select 1))",
        "with recursive t (n) as (values (1) union select n + 1 from t) select n from t",
        "with a as (select 1) values (1)",
        "table x",
        "show tables",
        "explain select 1",
        "pragma table_info(x)",
        "describe x",
        "select replace(a, 'b', 'c'), insert(a, 1, 2, 'b'), update_time from x",
        "select insert (a, 1, 2, 'b') from x",
        "select * from x where note = 'delete from y'",
        "select * from x for no key update",
        'select "update" from x for update',
    ],
)
def test_one_query_is_accepted_and_loses_its_semicolon(sql: str) -> None:
    assert not single_query(sql).rstrip().endswith(";")


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("", "no statement"),
        (" ; ", "no statement"),
        ("-- nothing", "no statement"),
        ("select 1; select 2", "2 statements"),
        ("select 1; drop table x", "2 statements"),
        ("insert into x values (1)", "INSERT"),
        ("insert into x values (1) returning 1", "INSERT"),
        ("with a as (select 1) delete from x", "DELETE"),
        ("update x set a = 1", "UPDATE"),
        ("create table x (a int)", "CREATE"),
        ("drop table x", "DROP"),
        ("with a as (delete from x returning *) select * from a", "DELETE"),
        ("with a as (select 1) insert into x select 1", "INSERT"),
        ("merge into x using y on true", "MERGE"),
        ("explain analyze delete from x", "DELETE"),
        ("select 1 into y", "SELECT INTO"),
        ("attach 'a.db' as a", "ATTACH"),
        ("vacuum", "VACUUM"),
        ("call f()", "CALL"),
        ("exec f", "EXEC"),
        ("do $$ begin end $$", "DO"),
        ("set x = 1", "SET"),
        ("copy x to stdout", "COPY"),
        ("lock table x", "LOCK"),
        ("begin", "BEGIN"),
        ("None", "NONE"),
        (["select 1"], "must be the text"),
        (None, "must be the text"),
    ],
)
def test_anything_else_is_refused(sql: Any, says: str) -> None:
    with pytest.raises(AfilnetSourceError, match=says):
        single_query(sql)


# --- SQLite ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def sqlite_conn(tmp_path: Path, make_conn: Callable[..., None]) -> str:
    path = tmp_path / "source.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table people (mobile text, name text)")
        database.executemany("insert into people values (?, ?)", [(f"346{n:08}", "100%") for n in range(25_000)])
    make_conn("source", conn_type="sqlite", host=str(path))
    return "source"


def check_streaming(conn_id: str, parameters: Any, placeholder: str) -> None:
    with sql_rows(conn_id, "select mobile as m, name from people order by mobile;") as table:
        assert table.columns == ["m", "name"]
        rows = [tuple(row) for row in table.rows]
    assert len(rows) == 25_000
    assert rows[0] == ("34600000000", "100%")
    with sql_rows(conn_id, "select name from people where name like '100%' and mobile = '34600000001'") as table:
        assert [tuple(row) for row in table.rows] == [("100%",)]
    query = f"select mobile from people where mobile = {placeholder}"
    with sql_rows(conn_id, query, parameters) as table:
        assert [tuple(row) for row in table.rows] == [("34600000007",)]
    with sql_rows(conn_id, "select mobile, name from people where 1 = 0") as table:
        assert table.columns == ["mobile", "name"]
        assert list(table.rows) == []


def test_sqlite(sqlite_conn: str) -> None:
    check_streaming(sqlite_conn, ["34600000007"], "?")
    check_streaming(sqlite_conn, {"m": "34600000007"}, ":m")


def test_sqlite_rows_are_tuples_whatever_the_connection_makes_of_them(
    sqlite_conn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook of the user's own may set a factory of rows, and mappings are no rows of a table."""
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    real = SqliteHook.get_conn

    def get_conn(hook: Any) -> sqlite3.Connection:
        connection = real(hook)
        connection.row_factory = lambda cursor, row: {"mobile": row[0]}
        return connection

    monkeypatch.setattr(SqliteHook, "get_conn", get_conn)
    with sql_rows(sqlite_conn, "select mobile from people limit 1") as table:
        assert list(table.rows) == [("34600000000",)]


def test_sqlite_fetches_no_more_than_it_hands_out(sqlite_conn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 10)
    calls: list[int] = []

    def counting(connection: sqlite3.Connection) -> sqlite3.Cursor:
        connection.create_function("seen", 1, lambda value: calls.append(1) or value)
        return connection.cursor()

    monkeypatch.setattr(module, "_CURSORS", {"sqlite3": counting})
    with sql_rows(sqlite_conn, "select seen(mobile) from people") as table:
        next(iter(table.rows))
    assert len(calls) <= 20


@pytest.mark.parametrize("way", ["engine", "plain"])
def test_other_databases_go_through_their_engine_or_their_cursor(
    sqlite_conn: str, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """SQLite again, as a database that this package does not know."""
    monkeypatch.setattr(module, "_CURSORS", {})
    if way == "plain":
        monkeypatch.setattr(module, "_engine", lambda hook: None)
    check_streaming(sqlite_conn, ["34600000007"], "?")
    check_streaming(sqlite_conn, ("34600000007",), "?")


def test_a_hook_without_engine_is_told(sqlite_conn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.providers.sqlite.hooks.sqlite import SqliteHook

    hook = SqliteHook(sqlite_conn)
    assert module._engine(hook) is not None
    for error in (NotImplementedError, ImportError):

        def fails(*args: Any, error: type[Exception] = error, **kwargs: Any) -> None:
            raise error

        monkeypatch.setattr(SqliteHook, "get_sqlalchemy_engine", fails)
        assert module._engine(hook) is None


class Closings:
    """Counts how many connections a hook opened and how many are still open."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from airflow.providers.sqlite.hooks.sqlite import SqliteHook

        self.opened: list[sqlite3.Connection] = []
        real = SqliteHook.get_conn

        def get_conn(hook: Any) -> sqlite3.Connection:
            self.opened.append(real(hook))
            return self.opened[-1]

        monkeypatch.setattr(SqliteHook, "get_conn", get_conn)

    def all_closed(self) -> bool:
        for connection in self.opened:
            try:
                connection.execute("select 1")
            except sqlite3.ProgrammingError:
                continue
            return False
        return bool(self.opened)


@pytest.mark.parametrize("known", [True, False])
def test_connections_are_closed_whatever_happens(
    sqlite_conn: str, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    closings = Closings(monkeypatch)
    if not known:
        monkeypatch.setattr(module, "_CURSORS", {})
    with sql_rows(sqlite_conn, "select mobile from people") as table:
        next(iter(table.rows))
    with pytest.raises(KeyboardInterrupt), sql_rows(sqlite_conn, "select mobile from people"):
        raise KeyboardInterrupt
    with pytest.raises(Exception, match="no such table"), sql_rows(sqlite_conn, "select 1 from nowhere"):
        pass
    with pytest.raises(AfilnetSourceError, match="no result set"), sql_rows(sqlite_conn, "pragma user_version = 3"):
        pass
    assert len(closings.opened) == 4
    assert closings.all_closed()


@pytest.mark.parametrize("known", [True, False])
def test_parameters_are_never_logged_or_said(
    sqlite_conn: str, monkeypatch: pytest.MonkeyPatch, logs: Logs, known: bool
) -> None:
    if not known:
        monkeypatch.setattr(module, "_CURSORS", {})
    with sql_rows(sqlite_conn, "select mobile from people where name = ?", ("Zoraida",)) as table:
        assert list(table.rows) == []
    with (
        pytest.raises(Exception, match="nowhere") as caught,
        sql_rows(sqlite_conn, "select 1 from nowhere where name = ?", ("Zoraida",)),
    ):
        pass
    assert "Zoraida" not in str(caught.value)
    assert "Zoraida" not in logs.text


def test_parameters_are_hidden_where_the_queries_of_sqlalchemy_are_logged(
    sqlite_conn: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "_CURSORS", {})
    caplog.set_level(logging.INFO, "sqlalchemy.engine")
    with sql_rows(sqlite_conn, "select mobile from people where name = ?", ("Zoraida",)) as table:
        assert list(table.rows) == []
    assert "from people where name" in caplog.text
    assert "Zoraida" not in caplog.text


@pytest.mark.parametrize("parameters", ["34600000007", "None", b"1", 5, {"a"}, iter([1])])
def test_parameters_of_another_kind_are_refused(sqlite_conn: str, parameters: Any) -> None:
    with (
        pytest.raises(AfilnetSourceError, match="render_template_as_native_obj") as caught,
        sql_rows(sqlite_conn, "select 1 where 1 = ?", parameters),
    ):
        pass
    assert not caught.value.retryable
    assert "34600000007" not in str(caught.value)


# --- errors of the database ------------------------------------------------------------------------------------------


def check_hides_people(error: AfilnetSourceError, *, says: str) -> None:
    """The error is one that may pass, and neither it nor anything that a traceback shows has a person in it."""
    assert isinstance(error, AfilnetSourceError)
    assert error.retryable
    assert error.__cause__ is None
    assert error.__context__ is None
    shown = "".join(traceback.format_exception(error))
    assert says in str(error)
    for secret in ("zoraida", "Zoraida", "611223344", "[SQL", "orai"):
        assert secret not in shown.partition("AfilnetSourceError")[2], shown


class RefusedError(Exception):
    """As a driver would raise it."""

    sqlstate = "22P02"


MESSAGE = 'invalid input syntax for type integer: "Zoraida said "hi""\nLINE 1: zoraida@example.com 34611223344'


class Refusing:
    """A database that fails at one step, and in each step's way to close."""

    def __init__(self, step: str) -> None:
        self.step = step
        self.description = [("mobile",)]
        self.batches = [[("34600000001",)], [("34600000002",)]]

    def at(self, step: str) -> None:
        if step == self.step:
            raise RefusedError(MESSAGE)

    def get_conn(self) -> Refusing:
        self.at("connect")
        return self

    def cursor(self) -> Refusing:
        self.at("cursor")
        return self

    def execute(self, *args: Any) -> None:
        self.at("execute")

    def fetchmany(self, size: int) -> list[Any]:
        if len(self.batches) == 1:
            self.at("fetch")
        return self.batches.pop(0) if self.batches else []

    def close(self) -> None:
        raise RefusedError(MESSAGE)


@pytest.mark.parametrize("step", ["connect", "cursor", "execute", "fetch"])
def test_errors_of_a_driver_are_told_without_people(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    monkeypatch.setattr(module, "_database_hook", lambda conn_id: Refusing(step))
    monkeypatch.setattr(module, "_engine", lambda hook: None)
    with pytest.raises(AfilnetSourceError) as caught, sql_rows("any", "select mobile from people") as table:
        list(table.rows)
    says = "The database failed: RefusedError (SQLSTATE 22P02): invalid input syntax for type integer: ***"
    check_hides_people(caught.value, says=says)


def test_closing_hides_neither_the_rows_nor_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_database_hook", lambda conn_id: Refusing("never"))
    monkeypatch.setattr(module, "_engine", lambda hook: None)
    with sql_rows("any", "select mobile from people") as table:
        assert list(table.rows) == [("34600000001",), ("34600000002",)]
    with pytest.raises(LookupError) as caught, sql_rows("any", "select mobile from people"):
        raise LookupError("the consumer's own")
    assert type(caught.value) is LookupError
    assert caught.value.__context__ is None


@pytest.mark.parametrize("known", [True, False])
def test_errors_of_sqlite_are_told_without_people(
    sqlite_conn: str, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    if not known:
        monkeypatch.setattr(module, "_CURSORS", {})
    query = "select zoraida@example.com from people where name = 'Zoraida'"
    with pytest.raises(AfilnetSourceError) as caught, sql_rows(sqlite_conn, query):
        pass
    check_hides_people(caught.value, says="OperationalError: ")
    # The values of a row are asked for one after the other, so this one fails while rows are read.
    monkeypatch.setattr(module, "BATCH", 10)
    query = "select case mobile when '34600020000' then abs(-9223372036854775808) else mobile end from people"
    seen: list[Any] = []
    with pytest.raises(AfilnetSourceError) as caught, sql_rows(sqlite_conn, query) as table:
        seen.extend(table.rows)
    assert len(seen) > 19_000
    check_hides_people(caught.value, says="integer overflow")


def test_a_text_that_sqlite_cannot_decode_is_not_shown(sqlite_conn: str) -> None:
    """SQLite keeps any bytes as text; its error quotes them whole."""
    query = "select cast(x'5a6f7261696461204cf370657a' as text) as name"
    with pytest.raises(AfilnetSourceError) as caught, sql_rows(sqlite_conn, query) as table:
        list(table.rows)
    check_hides_people(caught.value, says="Could not decode to UTF-8 column 'name' with text ***")


@pytest.mark.parametrize("name", ["34611223344", "34611223344 of\nZoraida"])
def test_what_a_database_says_is_masked_and_only_its_first_line_told(sqlite_conn: str, name: str) -> None:
    """Drivers add lines with the query, and details with values that no quotes tell from the rest."""
    with pytest.raises(AfilnetSourceError) as caught, sql_rows(sqlite_conn, f'select 1 from "{name}"'):
        pass
    check_hides_people(caught.value, says="OperationalError: no such table: ")


def test_a_connection_whose_type_has_no_hook_is_named(make_conn: Callable[..., None]) -> None:
    make_conn("odd", conn_type="oddbase", host="x")
    with (
        pytest.raises(AfilnetSourceError, match="'odd' cannot be used: its type 'oddbase' has no hook") as caught,
        sql_rows("odd", "select 1"),
    ):
        pass
    assert not caught.value.retryable


def test_a_connection_that_is_no_database_is_named(make_conn: Callable[..., None], afilnet_conn: Any) -> None:
    with (
        pytest.raises(AfilnetSourceError, match="'afilnet_default' is no database"),
        sql_rows("afilnet_default", "select 1"),
    ):
        pass


# --- PostgreSQL ------------------------------------------------------------------------------------------------------


@pytest.fixture
def postgres_conn(postgres: Any, make_warehouse: Callable[..., None]) -> Callable[..., str]:
    """A table ``people``; call it to define the connection again with an ``extra``."""
    postgres.execute("create table people (mobile text, name text)")
    postgres.execute(
        "insert into people select '346' || lpad(n::text, 8, '0'), '100%' from generate_series(0, 24999) n"
    )

    def define(**extra: Any) -> str:
        make_warehouse(extra=extra)
        return "warehouse"

    return define


def with_psycopg2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the hook use psycopg2, as on Airflow 3.0."""
    from airflow.providers.postgres.hooks import postgres

    monkeypatch.setattr(postgres, "USE_PSYCOPG3", False)


PSYCOPG = pytest.param(
    "psycopg",
    marks=pytest.mark.skipif(VERSION < (3, 1), reason="with SQLAlchemy 1.4, as on Airflow 3.0, the hook uses psycopg2"),
)


@pytest.mark.parametrize("driver", [PSYCOPG, "psycopg2"])
def test_postgres(postgres_conn: Callable[..., str], monkeypatch: pytest.MonkeyPatch, driver: str) -> None:
    if driver == "psycopg2":
        with_psycopg2(monkeypatch)
    used: list[str] = []
    real = module._CURSORS[driver]

    def noting(connection: Any) -> Any:
        used.append(driver)
        return real(connection)

    monkeypatch.setattr(module, "_CURSORS", {driver: noting})
    for extra in ({}, {"cursor": "dictcursor"}):
        conn_id = postgres_conn(**extra)
        check_streaming(conn_id, ["34600000007"], "%s")
        check_streaming(conn_id, {"m": "34600000007"}, "%(m)s")
    assert len(used) == 16
    with pytest.raises(Exception, match="nowhere"), sql_rows("warehouse", "select 1 from nowhere"):
        pass


@pytest.mark.parametrize("way", [PSYCOPG, "psycopg2", "engine"])
@pytest.mark.parametrize("late", [False, True])
def test_errors_of_postgres_are_told_without_people(
    postgres_conn: Callable[..., str], monkeypatch: pytest.MonkeyPatch, way: str, late: bool
) -> None:
    if way == "psycopg2":
        with_psycopg2(monkeypatch)
    if way == "engine":
        monkeypatch.setattr(module, "_CURSORS", {})
    monkeypatch.setattr(module, "BATCH", 100)
    query = "select 'zoraida@example.com'::int"
    if late:
        query = "select case mobile when '34600000500' then ('Zoraida' || name)::int else 1 end from people"
    with pytest.raises(AfilnetSourceError) as caught, sql_rows("warehouse", query) as table:
        list(table.rows)
    check_hides_people(caught.value, says="InvalidTextRepresentation (SQLSTATE 22P02): invalid input syntax for type")


def test_a_database_that_is_down_is_told(make_conn: Callable[..., None]) -> None:
    make_conn("warehouse", conn_type="postgres", host="127.0.0.1", port=9, login="u", password="Zoraida", schema="x")
    with pytest.raises(AfilnetSourceError) as caught, sql_rows("warehouse", "select 1"):
        pass
    check_hides_people(caught.value, says="OperationalError")


@pytest.fixture
def way(request: pytest.FixtureRequest, postgres_conn: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A way to stream from PostgreSQL, to be given as a parameter."""
    if request.param == "psycopg2":
        with_psycopg2(monkeypatch)
    if request.param == "engine":
        monkeypatch.setattr(module, "_CURSORS", {})


EVERY_WAY = pytest.mark.parametrize("way", [PSYCOPG, "psycopg2", "engine"], indirect=True)


def sessions(postgres: Any) -> list[str]:
    """The last statement of every session but the test's own."""
    query = "select query from pg_stat_activity where pid <> pg_backend_pid() and backend_type = 'client backend'"
    return [row[0] for row in postgres.execute(query)]


def check_no_session_is_left(postgres: Any) -> None:
    # The server ends a session a moment after its client has.
    end = time.monotonic() + 10
    while sessions(postgres) and time.monotonic() < end:
        time.sleep(0.02)
    assert sessions(postgres) == []


@EVERY_WAY
@pytest.mark.usefixtures("way")
def test_without_parameters_a_percent_sign_is_one() -> None:
    with sql_rows("warehouse", "select mobile from people where name like '100%' and 12 % 5 = 2 limit 3") as table:
        assert len(list(table.rows)) == 3


@EVERY_WAY
@pytest.mark.usefixtures("way")
def test_postgres_keeps_the_result_in_the_server(postgres: Any) -> None:
    """While rows are read, our session's last statement fetched some from a cursor; afterwards there is no session."""
    with sql_rows("warehouse", "select mobile from people") as table:
        for _ in itertools.islice(table.rows, 5 * module.BATCH):
            pass
        (statement,) = sessions(postgres)
        fetched = re.fullmatch(r"fetch forward (\d+) from .*", statement.lower())
        assert fetched, statement
        assert int(fetched[1]) <= module.BATCH, "no more at once, however long the result is"
    check_no_session_is_left(postgres)


@EVERY_WAY
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("read", [0, 1, module.BATCH + 1])
@pytest.mark.parametrize("error", [KeyboardInterrupt, AfilnetStoppedError, LookupError])
def test_postgres_has_no_session_left_when_the_reader_breaks_off(
    postgres: Any, read: int, error: type[BaseException]
) -> None:
    """The error is kept, with all that its frames hold, so that a session was closed and not merely forgotten."""

    def read_some() -> None:
        with sql_rows("warehouse", "select mobile from people") as table:
            for _ in itertools.islice(table.rows, read):
                pass
            assert len(sessions(postgres)) == 1
            raise error("enough")

    with pytest.raises(error) as caught:
        read_some()
    check_no_session_is_left(postgres)
    assert caught.value


@EVERY_WAY
@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    "sql",
    [
        "select nothing from people",
        "select 1 / (mobile::bigint - 34600000000) from people",
        "select 1 / (mobile::bigint - 34600020000) from people",
    ],
    ids=["at once", "at the first row", "at a late row"],
)
def test_postgres_has_no_session_left_when_it_fails(postgres: Any, sql: str) -> None:
    with pytest.raises(AfilnetSourceError) as caught, sql_rows("warehouse", sql) as table:
        for _ in table.rows:
            pass
    check_no_session_is_left(postgres)
    assert caught.value


def test_memory_stays_the_same_however_many_rows(tmp_path: Path) -> None:
    """In a process of its own, whose peak is its own: 300,000 wide rows, some 100 MB."""
    path = tmp_path / "wide.db"
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("create table wide (mobile text, filler text)")
        database.executemany("insert into wide values (?, ?)", ((f"346{n:08}", "x" * 300) for n in range(300_000)))
    for cursors in ("module._CURSORS", "{}"):
        code = (
            "import os, json\n"
            f"os.environ['AIRFLOW_CONN_WIDE'] = json.dumps({{'conn_type': 'sqlite', 'host': {str(path)!r}}})\n"
            "from airflow_provider_afilnet.hooks import sql_rows as module\n"
            f"module._CURSORS = {cursors}\n"
            # The system's own account (getrusage) begins with the memory of the process that started this one.
            "peak = lambda: int(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])\n"
            "with module.sql_rows('wide', 'select 1') as table: list(table.rows)\n"
            "before = peak()\n"
            "with module.sql_rows('wide', 'select * from wide') as table: count = sum(1 for _ in table.rows)\n"
            "assert count == 300_000, count\n"
            "assert peak() - before < 40_000, peak() - before\n"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]
