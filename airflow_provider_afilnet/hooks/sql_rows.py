"""Rows of a query in constant memory, from any database that Airflow knows.

A driver usually fetches the whole result before it hands out the first row, so each kind of connection needs its own
way to stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from airflow_provider_afilnet.hooks.single_query import single_query
from airflow_provider_afilnet.hooks.sql_errors import asked, closed_quietly
from airflow_provider_afilnet.refresh.errors import AfilnetSourceError

if TYPE_CHECKING:
    from airflow.providers.common.sql.hooks.sql import DbApiHook
    from sqlalchemy.engine import Engine

BATCH: Final = 2_000
"""Rows fetched at once: enough that a round trip does not count, few enough that wide rows stay small."""

Parameters = Sequence[Any] | Mapping[str, Any] | None


@dataclass(frozen=True)
class SqlTable:
    """A result being read: its column names, and its rows, to be read once."""

    columns: list[str]
    rows: Iterator[Sequence[Any]]


@contextmanager
def sql_rows(conn_id: str, sql: str, parameters: Parameters = None) -> Iterator[SqlTable]:
    """Run one query and stream its rows; cursor and connection are closed whatever happens.

    Neither the query nor its parameters are logged.

    :param conn_id: an Airflow connection whose hook is a ``DbApiHook``.
    :param sql: one statement that reads; a semicolon at its end is fine.
    :param parameters: values for its placeholders, as the database's driver takes them.
    :raises AfilnetSourceError: if the connection is no database, ``parameters`` are of another kind, or ``sql`` is not
        one statement that reads; and, retryable, if the database fails, also while the rows are read.
    """
    _check_parameters(parameters)
    statement = single_query(sql)
    with _table(_database_hook(conn_id), statement, parameters) as table:
        yield table


def _check_parameters(parameters: object) -> None:
    if parameters is not None and not isinstance(parameters, (list, tuple, Mapping)):
        raise AfilnetSourceError(
            f"parameters must be a list or a mapping of values, not {type(parameters).__name__}; a template that makes "
            "one needs render_template_as_native_obj=True on the DAG."
        )


def _database_hook(conn_id: str) -> DbApiHook:
    from airflow.providers.common.compat.sdk import AirflowException, BaseHook
    from airflow.providers.common.sql.hooks.sql import DbApiHook

    connection = BaseHook.get_connection(conn_id)
    try:
        hook = connection.get_hook()  # type: ignore[no-untyped-call]
    except (AirflowException, ImportError) as error:
        raise AfilnetSourceError(
            f"Connection {conn_id!r} cannot be used: its type {connection.conn_type!r} has no hook here "
            f"({type(error).__name__}); install the provider package of that type."
        ) from None
    if not isinstance(hook, DbApiHook):
        raise AfilnetSourceError(
            f"Connection {conn_id!r} is no database: its hook {type(hook).__name__} cannot run SQL; name a connection "
            "such as one of type postgres, mysql or sqlite."
        )
    return hook


@contextmanager
def _table(hook: DbApiHook, sql: str, parameters: Parameters) -> Iterator[SqlTable]:
    """Stream in the way that suits the connection which the hook opens."""
    with closed_quietly(asked(hook.get_conn)) as connection:
        # What counts is the driver at hand: one hook may use several, and several hooks use one.
        driver = type(connection).__module__.partition(".")[0]
        engine = None if driver in _CURSORS else asked(_engine, hook)
        if engine is None:
            with closed_quietly(asked(_CURSORS.get(driver, _plain_cursor), connection)) as cursor:
                yield asked(_executed, cursor, sql, parameters)
            return
    try:
        with closed_quietly(asked(engine.connect)) as session:
            # no_parameters: where there are no values, a percent sign in the query is only a percent sign.
            streaming = session.execution_options(stream_results=True, max_row_buffer=BATCH, no_parameters=True)
            with closed_quietly(asked(streaming.exec_driver_sql, sql, _as_values(parameters))) as result:
                if not result.returns_rows:
                    raise _no_result_set()
                yield SqlTable(list(result.keys()), _fetched(partial(result.fetchmany, BATCH)))
    finally:
        engine.dispose()


def _engine(hook: DbApiHook) -> Engine | None:
    """The hook's SQLAlchemy engine, or ``None`` if it has none. Its errors do not show the parameters."""
    from airflow.providers.common.compat.sdk import AirflowOptionalProviderFeatureException
    from sqlalchemy.exc import ArgumentError

    try:
        return hook.get_sqlalchemy_engine(engine_kwargs={"hide_parameters": True})
    except (NotImplementedError, ImportError, ArgumentError, AirflowOptionalProviderFeatureException):
        return None


def _as_values(parameters: Parameters) -> Any:
    """SQLAlchemy takes a list for many executions, so one execution's values are a tuple or a dict."""
    if parameters is None:
        return None
    return dict(parameters) if isinstance(parameters, Mapping) else tuple(parameters)


def _psycopg_cursor(connection: Any) -> Any:
    from psycopg.rows import tuple_row

    # A named cursor lives in the server. The connection's extra may ask for rows of another kind: here they are tuples.
    return connection.cursor(name=_NAME, row_factory=tuple_row)


def _psycopg2_cursor(connection: Any) -> Any:
    from psycopg2.extensions import cursor  # type: ignore[import-untyped]

    return connection.cursor(name=_NAME, cursor_factory=cursor)


def _sqlite_cursor(connection: Any) -> Any:
    cursor = connection.cursor()
    cursor.row_factory = None
    return cursor


def _plain_cursor(connection: Any) -> Any:
    return connection.cursor()


_NAME: Final = "afilnet_source"
_CURSORS: Final[Mapping[str, Callable[[Any], Any]]] = {
    "psycopg": _psycopg_cursor,
    "psycopg2": _psycopg2_cursor,
    "sqlite3": _sqlite_cursor,
}


def _executed(cursor: Any, sql: str, parameters: Parameters) -> SqlTable:
    if parameters is None:
        cursor.execute(sql)
    else:
        cursor.execute(sql, parameters)
    # psycopg2 knows the columns of a server-side cursor only once rows were fetched.
    first = cursor.fetchmany(BATCH) if cursor.description is None and _may_have_rows(cursor) else None
    if cursor.description is None:
        raise _no_result_set()
    return SqlTable([column[0] for column in cursor.description], _fetched(partial(cursor.fetchmany, BATCH), first))


def _may_have_rows(cursor: Any) -> bool:
    return getattr(cursor, "name", None) is not None


def _fetched(fetch: Callable[[], Sequence[Any]], first: Sequence[Any] | None = None) -> Iterator[Sequence[Any]]:
    batch = asked(fetch) if first is None else first
    while batch:
        yield from batch
        batch = asked(fetch)


def _no_result_set() -> AfilnetSourceError:
    return AfilnetSourceError("sql gave no result set, so there is nothing to read; give a SELECT.")
