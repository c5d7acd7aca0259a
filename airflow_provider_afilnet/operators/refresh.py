"""The base of both operators that make a group follow rows: every refresh option, the run, and its end."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager
from inspect import signature
from typing import TYPE_CHECKING, Any, ClassVar, Final

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_afilnet.links.afilnet import AfilnetGroupLink, AfilnetReportLink
from airflow_provider_afilnet.operators.base import AfilnetBaseOperator
from airflow_provider_afilnet.operators.listed import is_listed
from airflow_provider_afilnet.operators.outlets import tell_outlets
from airflow_provider_afilnet.operators.plain_fields import PlainFieldsOperator
from airflow_provider_afilnet.operators.storage import storage_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_afilnet.refresh.engine import Refresh
    from airflow_provider_afilnet.refresh.rows import RowSource

log = logging.getLogger(__name__)

_ENGINE_OPTIONS: Final = (
    "mode",
    "key_field",
    "column_map",
    "unknown_columns",
    "default_region",
    "bare_numbers",
    "nulls",
    "duplicates",
    "invalid_rows",
    "max_rejected",
    "max_deletes",
    "allow_empty",
    "delete_despite_rejects",
    "allow_empty_suppress",
    "unsafe_values",
    "lossy_fields",
    "batch_size",
    "batch_bytes",
    "settle",
    "verify",
)
_OPERATOR_OPTIONS: Final = ("suppress", "suppress_sql", "suppress_conn_id", "report_path")


class AfilnetRefreshOperator(PlainFieldsOperator, AfilnetBaseOperator):
    """Base of the operators that make a group follow rows. After a green task the group is as asked, read back.

    The rows are read and checked, the group is read, a plan is made and guarded, and only then anything is written;
    afterwards the group is read again. Where two wishes are possible the task stops before the first write and names
    both. Returns counts and references (at most 2 KB, no personal data), and puts the same into the events of the
    task's outlet Assets; an outlet ``AssetAlias`` gets an event of the group's Asset, ``afilnet://group/<id>``.

    An error that ends it carries the counts, as far as they are known, under ``result``.

    A retry is safe: it begins with a new read of the group, and does only what is missing. Errors that a retry cannot
    help end the task at once. Let only one run at a time work on a group: ``max_active_runs=1``, or a pool.

    Numbers and booleans may be templated text; where a count or a fraction is meant, a whole number is a count and a
    number with a point a fraction.

    :param group_id: the group.
    :param mode: ``insert`` (only new contacts), ``update`` (only existing ones), ``upsert`` (both), ``mirror`` (both,
        and delete contacts that the rows lack), ``remove`` (delete the contacts of the rows).
    :param key_field: ``mobile`` or ``email``; ``None`` reads it from the group's columns, which works where the group
        has only one of them.
    :param column_map: source column to group field; other columns go under their own name. Names are matched without
        case.
    :param unknown_columns: a source column that the group lacks: ``fail``, ``ignore`` it, or ``create`` it.
    :param default_region: ISO 3166 alpha-2 code of the country whose national phones may stand without prefix.
    :param bare_numbers: digits that are valid both as a national number and, with a plus, as another country's:
        ``fail``, ``national`` or ``international``.
    :param nulls: a null or blank value of the source: ``keep`` the stored value or ``clear`` it; one word for all, or
        a mapping of field to word.
    :param duplicates: rows with the same key: ``fail``, or let the ``first`` or the ``last`` count.
    :param invalid_rows: rows that cannot be sent: ``fail`` before the first write, or ``reject`` them and go on.
    :param max_rejected: with ``reject``: nothing is written above this count, or fraction of the rows.
    :param max_deletes: contacts that this run may delete, for whatever reason: a count, or a fraction of the group; a
        fraction never trips below 10 contacts.
    :param allow_empty: accept a source without rows.
    :param delete_despite_rejects: let ``mirror`` delete although some row's key could not be read.
    :param suppress: opt-outs as a list of keys: never added, and removed if present. Opt-outs that were asked for and
        have no value at run time (another task's result that is ``None``) stop the run; an empty list does too, unless
        ``allow_empty_suppress``. The list shows among the task's rendered fields; what ``suppress_sql`` reads does not.
    :param suppress_sql: opt-outs as a query, whose first column has the keys; may be a ``.sql`` file. It is read last,
        just before the first write.
    :param suppress_conn_id: connection of ``suppress_sql``, refused without it; where the source is a query it defaults
        to that one's.
    :param allow_empty_suppress: accept opt-outs without a single key.
    :param unsafe_values: a changed contact with a comma or a colon in a value, which ``modifycontact`` cannot carry:
        ``fail``, ``reject`` it, or ``replace`` it (delete and add; it gets a new id).
    :param lossy_fields: fields whose stored form may differ from what was sent, as a list or text with commas: compared
        after trimming and Unicode and line-end folding, and never the only reason for an update.
    :param batch_size: most contacts in one ``addcontactlist``.
    :param batch_bytes: most bytes in the body of one ``addcontactlist``.
    :param settle: seconds to wait until the group shows what was acknowledged.
    :param dry_run: plan and report, write nothing. Among the rendered fields it is ``plan_only``.
    :param verify: read the group back before the task is green; with false only unclear outcomes are read back.
    :param report_path: a folder for the report, on any storage that Airflow's ``ObjectStoragePath`` takes. It gets
        personal data: rejected rows, a backup of changed contacts, and a journal of every write.
    """

    template_fields: Sequence[str] = (
        "afilnet_conn_id",
        "group_id",
        *_ENGINE_OPTIONS,
        "plan_only",
        *_OPERATOR_OPTIONS,
    )
    template_ext: Sequence[str] = (".sql",)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "column_map": "json",
        "suppress_sql": "sql",
    }
    operator_extra_links: Collection[BaseOperatorLink] = (AfilnetGroupLink(), AfilnetReportLink())

    report_folder: str | None = None
    """Where the report of this run is, once there may be one."""

    _refresh: Refresh | None = None

    def __init__(
        self,
        *,
        group_id: str | int,
        mode: str = "upsert",
        key_field: str | None = None,
        column_map: Mapping[str, str] | None = None,
        unknown_columns: str = "fail",
        default_region: str | None = None,
        bare_numbers: str = "fail",
        nulls: str | Mapping[str, str] = "keep",
        duplicates: str = "fail",
        invalid_rows: str = "fail",
        max_rejected: float | str = 0,
        max_deletes: float | str = 0.1,
        allow_empty: bool | str = False,
        delete_despite_rejects: bool | str = False,
        suppress: Sequence[str] | None = None,
        suppress_sql: str | None = None,
        suppress_conn_id: str | None = None,
        allow_empty_suppress: bool | str = False,
        unsafe_values: str = "fail",
        lossy_fields: str | Sequence[str] | None = None,
        batch_size: int | str = 500,
        batch_bytes: int | str = 262144,
        settle: float | str = 10.0,
        dry_run: bool | str = False,
        verify: bool | str = True,
        report_path: str | ObjectStoragePath | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.mode = mode
        self.key_field = key_field
        self.column_map = column_map
        self.unknown_columns = unknown_columns
        self.default_region = default_region
        self.bare_numbers = bare_numbers
        self.nulls = nulls
        self.duplicates = duplicates
        self.invalid_rows = invalid_rows
        self.max_rejected = max_rejected
        self.max_deletes = max_deletes
        self.allow_empty = allow_empty
        self.delete_despite_rejects = delete_despite_rejects
        self.suppress = suppress
        self.suppress_sql = suppress_sql
        self.suppress_conn_id = suppress_conn_id
        self.allow_empty_suppress = allow_empty_suppress
        self.unsafe_values = unsafe_values
        self.lossy_fields = lossy_fields
        self.batch_size = batch_size
        self.batch_bytes = batch_bytes
        self.settle = settle
        # "dry_run" is a method of Airflow's operators.
        self.plan_only = dry_run
        self.verify = verify
        self.report_path = report_path
        self._remember_given("suppress", "suppress_sql", "suppress_conn_id", "report_path")
        self._leave_out_defaults(_DEFAULTS)

    def open_rows(self, context: Context) -> AbstractContextManager[RowSource]:
        """Open the source; what it yields is read once, and closed whatever happens."""
        raise NotImplementedError

    def opt_out_connection(self) -> str | None:
        """The connection of ``suppress_sql`` where the user named none."""
        return None

    def source_uris(self) -> list[str]:
        """What :meth:`open_rows` reads, as far as it has a name, for the lineage."""
        return []

    def work(self, context: Context) -> dict[str, Any]:
        from airflow_provider_afilnet.api.calls import record_id
        from airflow_provider_afilnet.refresh.engine import Refresh
        from airflow_provider_afilnet.refresh.errors import AfilnetOptionError
        from airflow_provider_afilnet.refresh.options import RefreshOptions

        given = {name: getattr(self, name) for name in _ENGINE_OPTIONS}
        options = RefreshOptions.read(**given, dry_run=self.plan_only)
        group_id = record_id(self.group_id, "group_id")
        opt_outs = self._opt_outs()
        self._check_not_lost("report_path", AfilnetOptionError, "there would be no report and no backup")
        folder = None if self.report_path is None else storage_path(self.report_path, "report_path")
        self._refresh = Refresh(
            self.hook.settings, group_id, options, report_folder=folder, watch=self._stop_when_left_alone(os.getppid())
        )
        self.report_folder = None if folder is None else str(folder)
        self._end_if_killed()
        with self.open_rows(context) as rows:
            self._end_if_killed()
            result = self._refresh.run(rows, suppress=opt_outs).as_dict()
        self._end_if_killed()
        tell_outlets(context, self.outlets or (), result)
        if not options.dry_run:
            self._tell_lineage(group_id)
        return result

    def on_kill(self) -> None:
        """End the refresh: writing stops within 4 s, and the task fails; its next run carries on."""
        super().on_kill()
        if self._refresh is not None:
            self._refresh.stop()

    def _stop_when_left_alone(self, parent: int) -> Callable[[object], None]:
        """End the refresh when the process that started the task is gone.

        A task outlives a worker that was killed, and nobody tells it: it would go on to write beside the next try.
        """

        def watch(_: object) -> None:
            if os.getppid() != parent and not self._killed:
                self.on_kill()
                log.error("The process that started this task is gone, and Airflow will start the task anew: it ends.")

        return watch

    def _opt_outs(self) -> Callable[[], Iterable[Any]] | None:
        """Where the opt-outs come from, checked now and read when it is called."""
        from airflow_provider_afilnet.refresh.errors import AfilnetOptionError

        for name in ("suppress", "suppress_sql", "suppress_conn_id"):
            self._check_not_lost(name, AfilnetOptionError, "opt-outs would be dropped")
        listed, query = self.suppress, self.suppress_sql
        if self.suppress_conn_id is not None and query is None:
            raise AfilnetOptionError(
                "Refresh option 'suppress_conn_id' is the connection of 'suppress_sql', which is missing, so it would "
                "suppress nobody; give the query, or leave both out."
            )
        if listed is None and query is None:
            return None
        if listed is not None and not (is_listed(listed) or isinstance(listed, Set)):
            raise AfilnetOptionError(
                f"Refresh option 'suppress' must be a list of keys, not {type(listed).__name__}; hand on another "
                "task's result as task.output, or set render_template_as_native_obj=True on the DAG."
            )
        conn_id = self.suppress_conn_id or self.opt_out_connection()
        if query is not None and not conn_id:
            raise AfilnetOptionError("Refresh option 'suppress_sql' needs 'suppress_conn_id', the connection to ask.")

        def read() -> Iterable[Any]:
            yield from listed or ()
            if query is not None:
                from airflow_provider_afilnet.hooks.sql_rows import sql_rows

                assert conn_id is not None
                with sql_rows(conn_id, query) as table:
                    for row in table.rows:
                        yield row[0]

        return read

    def _tell_lineage(self, group_id: str) -> None:
        from airflow_provider_afilnet.hooks.lineage import connection_uri, tell_lineage

        opt_outs = (self.suppress_conn_id or self.opt_out_connection()) if self.suppress_sql is not None else None
        tell_lineage(self.hook, group_id, [*self.source_uris(), *([connection_uri(opt_outs)] if opt_outs else [])])


_DEFAULTS: Final = {
    "plan_only" if parameter.name == "dry_run" else parameter.name: parameter.default
    for level in (AfilnetBaseOperator, AfilnetRefreshOperator)
    for parameter in signature(level.__init__).parameters.values()
    if parameter.name != "group_id"
}
