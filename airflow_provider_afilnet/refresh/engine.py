"""The refresh: make a group equal a set of rows, or fail and say what differs. The plain Python interface."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable, Iterable
from typing import Any, Final

from airflow_provider_afilnet.api.answers import read_columns
from airflow_provider_afilnet.api.calls import record_id
from airflow_provider_afilnet.api.client import AsyncAfilnetClient
from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.masking import mask_key
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.refresh import reasons
from airflow_provider_afilnet.refresh.apply import Applier
from airflow_provider_afilnet.refresh.converge import Converger
from airflow_provider_afilnet.refresh.errors import AfilnetIncompleteError
from airflow_provider_afilnet.refresh.guardrails import check_rejects
from airflow_provider_afilnet.refresh.loop_thread import LoopThread
from airflow_provider_afilnet.refresh.normalise import KeyReader
from airflow_provider_afilnet.refresh.options import RefreshOptions
from airflow_provider_afilnet.refresh.pace import Pace, StopFlag
from airflow_provider_afilnet.refresh.progress import Progress
from airflow_provider_afilnet.refresh.report import RefreshResult, ReportFolder
from airflow_provider_afilnet.refresh.rows import RowSource
from airflow_provider_afilnet.refresh.source import GroupFields, SourceCounts, Spooler, read_suppressed
from airflow_provider_afilnet.refresh.spool import no_room
from airflow_provider_afilnet.refresh.store import Store, folder_of_sqlite

log = logging.getLogger(__name__)

_NAMED: Final = 100
_IN_MESSAGE: Final = 5
_STEPS: Final = 16
_NO_STORE: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT)
_NOT_DONE: Final = "not done: the run ended early"
_PASSING: Final = (reasons.APPEARED, reasons.UNCONFIRMED)


class Refresh:
    """One refresh of one group.

    After :meth:`run` returns, the group equals the rows as the options say, contact by contact. A second run repeats
    nothing: it reads the group and writes only what is missing, so a retry after a crash is safe.

    :param settings: where and who.
    :param group_id: id of the group.
    :param options: what to do; see :class:`~airflow_provider_afilnet.refresh.options.RefreshOptions`.
    :param report_folder: a path object for the report's files, which hold personal data; ``None`` for none.
    :param watch: called with the counts many times a second, in the thread of :meth:`run`, for a progress bar.
    """

    def __init__(
        self,
        settings: ClientSettings,
        group_id: str | int,
        options: RefreshOptions | None = None,
        *,
        report_folder: Any = None,
        watch: Callable[[Progress], None] | None = None,
    ) -> None:
        self._settings = settings
        self._group_id = record_id(group_id, "group_id")
        self._options = options or RefreshOptions()
        self._report_folder = report_folder
        self._watch = watch
        self._stop = StopFlag()

    def stop(self) -> None:
        """Stop writing within 4 seconds and let :meth:`run` raise; callable from any thread or signal handler."""
        self._stop.set()

    def run(self, rows: RowSource, *, suppress: Callable[[], Iterable[object]] | None = None) -> RefreshResult:
        """Read the rows, compare, write, and verify. Blocks; nothing is written before the whole source was checked.

        :param rows: the wanted contacts, read once.
        :param suppress: called once, just before the first write: keys of people who must not be in the group.
        :return: the counts, which add up.
        :raises AfilnetError: with ``retryable`` false where a repeat cannot help; refresh errors carry ``result``.
        """
        run = _Run(self._settings, self._group_id, self._options, self._report_folder, self._stop, self._watch)
        return run.run(rows, suppress)


class _Run:
    """The parts of one run, and the counts at its end."""

    def __init__(
        self,
        settings: ClientSettings,
        group_id: str,
        options: RefreshOptions,
        report_folder: Any,
        stop: StopFlag,
        watch: Callable[[Progress], None] | None,
    ) -> None:
        self._settings = settings
        self._group_id = group_id
        self._options = options
        self._folder = report_folder
        self._stop = stop
        self._started = time.monotonic()
        self._store = Store()
        self._pace = Pace(settings.max_requests_per_second, stop, settings.max_connections)
        self._progress = Progress(group_id, self._pace, watch)
        self._source = SourceCounts()
        self._steps = 0
        self._converger: Converger | None = None

    def run(self, rows: RowSource, suppress: Callable[[], Iterable[object]] | None) -> RefreshResult:
        report = ReportFolder(self._folder)
        result: RefreshResult | None = None
        problem: BaseException | None = None
        whole = False
        try:
            self._converge(rows, suppress, report)
            self._stop.check()
            whole = True
            result = self._result()
            self._judge(result)
            log.info("Refresh of group %s ended: %s.", self._group_id, result)
            return result
        except BaseException as error:
            if isinstance(error, sqlite3.DatabaseError) and error.sqlite_errorcode & 0xFF in _NO_STORE:
                # The store is of no use any more, so nothing can be counted.
                problem = no_room(error, folder_of_sqlite())
                raise problem from None
            problem = error
            if self._converger is not None:
                if not whole:
                    self._fail_unacknowledged()
                    self._differences(but=_NOT_DONE)
                result = self._result()
                away = self._away(read_since=whole)
                if away and not isinstance(error, (KeyboardInterrupt, SystemExit)):
                    problem = self._not_back(away, error)
                if isinstance(problem, AfilnetError):
                    problem.result = result
            if problem is not error:
                raise problem from error
            raise
        finally:
            try:
                report.finish(self._store, result, problem)
            finally:
                self._store.close()

    def _converge(self, rows: RowSource, suppress: Callable[[], Iterable[object]] | None, report: ReportFolder) -> None:
        client = AsyncAfilnetClient(self._settings)
        applier = Applier(
            client, self._group_id, self._store, self._options, self._pace, self._stop, report, self._progress
        )
        with LoopThread(self._stop, self._progress.tick) as loop:
            loop.run(client.__aenter__())
            try:
                columns = loop.run(applier.read("getgroupcolumns", idgroup=self._group_id))
                fields = GroupFields(read_columns(columns), self._options.key_field)
                keys = KeyReader(fields.kind, self._options.default_region, self._options.bare_numbers)
                spooler = Spooler(self._store, fields, keys, self._options, self._step)
                self._source = spooler.counts
                spooler.spool(rows)
                self._progress.rows = self._source.rows
                check_rejects(self._store, self._source.rows, self._options)
                converger = Converger(
                    client,
                    self._group_id,
                    self._store,
                    fields,
                    keys,
                    self._options,
                    self._source,
                    applier,
                    self._pace,
                    report,
                    self._progress,
                    self._stop.check,
                )
                loop.run(converger.first_read())
                if suppress is not None:
                    read_suppressed(self._store, keys, suppress, self._options, self._step)
                self._converger = converger
                loop.run(converger.run())
            finally:
                loop.run(client.__aexit__(None, None, None))

    def _step(self) -> None:
        """Between two rows of the source or of the opt-outs."""
        self._stop.check()
        self._steps += 1
        if self._steps % _STEPS == 0:
            self._progress.rows = self._source.rows
            self._progress.tick()

    def _away(self, *, read_since: bool) -> list[str]:
        """Log who was deleted to be replaced and, as far as is known, is not back.

        :param read_since: the group was read after the writes, and what was acknowledged must show. Otherwise a read
            may have come after some of them, and whom the plan then missed is named too.
        """
        states = "'deleted', 'unknown', 'acked', 'restored'" if read_since else "'deleted', 'unknown'"
        found = self._store.db.execute(
            "SELECT row, key FROM ops r WHERE kind = 'replace' AND "
            f"(state IN ({states}) OR EXISTS (SELECT 1 FROM failures f WHERE f.key = r.key AND f.reason = ?)) "
            "AND NOT EXISTS (SELECT 1 FROM ops l WHERE l.key = r.key AND l.n > r.n AND l.state = 'acked') "
            "AND NOT EXISTS (SELECT 1 FROM actual a WHERE a.key = r.key AND a.id <> r.id) GROUP BY key ORDER BY row",
            (reasons.NOT_SHOWN,),
        ).fetchall()
        lines = [f"row {row} ({mask_key(key)})" for row, key in found]
        for line in lines[:_NAMED]:
            log.error("Group %s: %s was deleted to be replaced and may not be back.", self._group_id, line)
        return lines

    def _not_back(self, away: list[str], error: BaseException) -> AfilnetIncompleteError:
        """A retry would not know that it has to bring them back whole, so it must not come."""
        if self._folder is not None:
            backup = f"they stand whole in backup.jsonl of {self._folder}"
        else:
            backup = "without a report_path, what the source does not give of them is lost"
        more = f" and {len(away) - _IN_MESSAGE} more, see the log" if len(away) > _IN_MESSAGE else ""
        return AfilnetIncompleteError(
            f"{len(away)} contacts were deleted to be replaced (unsafe_values='replace') and may not be back: "
            f"{', '.join(away[:_IN_MESSAGE])}{more}. Look for them in the group and add them again; "
            f"{backup}. It ended so because: {str(error) or type(error).__name__}",
            code=getattr(error, "code", None),
            http_status=getattr(error, "http_status", None),
            method=getattr(error, "method", None),
        )

    def _fail_unacknowledged(self) -> None:
        """After an error: what was planned and not acknowledged counts as failed."""
        self._store.db.execute(
            "INSERT INTO failures SELECT row, key, id, CASE WHEN kind IN ('update', 'replace') THEN why ELSE '' END, "
            "CASE WHEN code IS NULL THEN ? ELSE 'refused with ' || code END FROM ops o "
            "WHERE state NOT IN ('acked', 'gone') AND key NOT IN (SELECT key FROM failures WHERE key IS NOT NULL) "
            "AND NOT EXISTS (SELECT 1 FROM ops l WHERE l.key = o.key AND l.n > o.n AND l.state = 'acked')",
            (_NOT_DONE,),
        )

    def _judge(self, result: RefreshResult) -> None:
        """Red if anything differs, or if the counts do not add up."""
        lines = self._differences()
        if lines and not self._options.dry_run:
            raise self._incomplete(result, lines)
        if not result.adds_up:
            raise AfilnetIncompleteError(f"The counts do not add up, which is a fault of this package: {result}.")

    def _differences(self, *, but: str = "") -> list[str]:
        """Log whom the run leaves, or in a dry run would leave, different from what is wanted, by masked keys.

        :param but: a reason not to name.
        """
        found = self._store.db.execute(
            "SELECT row, key, id, field, reason FROM failures WHERE reason <> ? ORDER BY row IS NULL, row LIMIT ?",
            (but, _NAMED),
        ).fetchall()
        lines = [
            f"{f'row {row}' if row else f'contact {record_id}' if record_id else 'contact'} ({mask_key(key)})"
            f"{f' {field}' if field else ''}: {reason}"
            for row, key, record_id, field, reason in found
        ]
        level, says = (logging.WARNING, "would differ") if self._options.dry_run else (logging.ERROR, "differs")
        for line in lines:
            log.log(level, "Group %s %s: %s", self._group_id, says, line)
        return lines

    def _incomplete(self, result: RefreshResult, lines: list[str]) -> AfilnetIncompleteError:
        differing = int(self._store.one("SELECT count(*) FROM failures"))
        marks = ", ".join("?" * len(_PASSING))
        permanent = self._store.one(
            f"SELECT 1 FROM failures WHERE reason NOT IN ({marks}) AND reason NOT LIKE 'not done after%' LIMIT 1",
            *_PASSING,
        )
        withheld = int(self._store.one("SELECT count(*) FROM failures WHERE reason = ?", reasons.WITHHELD))
        advice = (
            f" {withheld} deletions were withheld because {self._source.unreadable_keys} rows had keys that cannot be "
            "read; correct them, or set delete_despite_rejects=True."
            if withheld
            else ""
        )
        more = f"; and {differing - _IN_MESSAGE} more, see the log" if differing > _IN_MESSAGE else ""
        where = f" All are listed in rejects.jsonl of {result.report_path}." if result.report_path else ""
        return AfilnetIncompleteError(
            f"The group still differs in {differing} contacts after {result.rounds} rounds: "
            f"{'; '.join(lines[:_IN_MESSAGE])}{more}.{advice}{where} Counts: {result}.",
            retryable=permanent is None,
        )

    def _result(self) -> RefreshResult:
        store, dry = self._store, self._options.dry_run
        failed_rows = "SELECT row FROM failures WHERE row IS NOT NULL"
        failed = 0 if dry else int(store.one(f"SELECT count(DISTINCT row) FROM ({failed_rows})"))
        but = "" if dry else f"WHERE row NOT IN ({failed_rows})"
        verdicts = dict(store.db.execute(f"SELECT verdict, count(*) FROM wanted {but} GROUP BY verdict").fetchall())
        settled = len(store.rows.lines) - self._source.duplicates - int(store.one("SELECT count(*) FROM wanted"))
        verdicts[store.settled] = verdicts.get(store.settled, 0) + settled
        deletions = dict(
            store.db.execute(
                "SELECT why, count(DISTINCT id) FROM ops o WHERE kind = 'delete' AND (state IN ('acked', 'gone') "
                "OR (state = 'unknown' AND NOT EXISTS (SELECT 1 FROM actual a WHERE a.id = o.id)) "
                "OR (? AND state = 'planned')) GROUP BY why",
                (dry,),
            ).fetchall()
        )
        converger = self._converger
        return RefreshResult(
            group_id=self._group_id,
            mode=self._options.mode,
            dry_run=dry,
            source_rows=self._source.rows,
            suppressed=verdicts.get("suppressed", 0),
            duplicates=self._source.duplicates,
            rejected=int(store.one("SELECT count(*) FROM rejects")),
            skipped=verdicts.get("skipped", 0),
            unchanged=verdicts.get("unchanged", 0),
            added=verdicts.get("added", 0),
            updated=verdicts.get("updated", 0),
            removed=verdicts.get("removed", 0),
            failed=failed,
            deleted=deletions.get("stale", 0) + deletions.get("listed", 0),
            deleted_suppressed=deletions.get("suppressed", 0),
            deleted_duplicates=deletions.get("duplicate", 0) + deletions.get("extra", 0),
            rounds=converger.rounds if converger else 0,
            requests=self._pace.calls,
            duration_s=round(time.monotonic() - self._started, 3),
            plan_digest=converger.first_digest if converger else "",
            report_path=str(self._folder) if self._folder is not None else None,
        )
