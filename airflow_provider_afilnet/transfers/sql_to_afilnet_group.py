"""Make a group follow a query."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_afilnet.refresh.rows import RowSource


class SqlToAfilnetGroupOperator(AfilnetRefreshOperator):
    """Make a group follow a query: see :class:`AfilnetRefreshOperator` for the options, the result and retries.

    The rows are streamed in constant memory from any database whose hook is a ``DbApiHook``. The query runs once in
    each try, and nothing of it or its parameters is logged. An error of the database is retried; of its message only
    the first line is told, without the values in it.

    :param sql: one query, or the name of a ``.sql`` file. It must only read: ``SELECT``, ``WITH``, ``VALUES``,
        ``TABLE``, ``SHOW``, ``EXPLAIN``, ``PRAGMA`` or ``DESCRIBE``. Its columns are group fields, or mapped by
        ``column_map``.
    :param sql_conn_id: connection of the database.
    :param parameters: values for the query's placeholders, as the database's driver takes them: a list, a tuple or a
        mapping.
    """

    template_fields: Sequence[str] = (*AfilnetRefreshOperator.template_fields, "sql", "sql_conn_id", "parameters")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **AfilnetRefreshOperator.template_fields_renderers,
        "sql": "sql",
        "parameters": "json",
    }

    def __init__(
        self,
        *,
        sql: str,
        sql_conn_id: str,
        parameters: Sequence[Any] | Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.sql = sql
        self.sql_conn_id = sql_conn_id
        self.parameters = parameters

    def opt_out_connection(self) -> str | None:
        return self.sql_conn_id

    def source_uris(self) -> list[str]:
        from airflow_provider_afilnet.hooks.lineage import connection_uri

        return [connection_uri(self.sql_conn_id)]

    @contextmanager
    def open_rows(self, context: Context) -> Iterator[RowSource]:
        from airflow_provider_afilnet.hooks.sql_rows import sql_rows
        from airflow_provider_afilnet.refresh.rows import TableRows

        with sql_rows(self.sql_conn_id, self.sql, self.parameters) as table:
            yield TableRows(table.columns, table.rows)
