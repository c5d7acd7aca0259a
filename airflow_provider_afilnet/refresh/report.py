"""What a refresh tells: counts for XCom, and a folder of files that the user asked for.

The folder may be a local path, or a path object of ``universal_pathlib`` on any storage. It is the only place where
people are written down.
"""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Final

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.refresh.errors import AfilnetReportError
from airflow_provider_afilnet.refresh.report_file import (
    ReportFile,
    ReportStorageError,
    make_folder,
    open_report_file,
)
from airflow_provider_afilnet.refresh.store import Op, Store

log = logging.getLogger(__name__)

_KINDS: Final = ("add", "update", "replace", "delete")


@dataclass(frozen=True, slots=True)
class RefreshResult:
    """Counts and references only, no people.

    ``suppressed`` to ``failed`` count source rows and add up to ``source_rows``; the three ``deleted`` count contacts:
    those the source lacked (or listed, in mode ``remove``), those suppressed, and surplus copies. A contact that was
    replaced counts as one updated row and no deletion.
    """

    group_id: str
    mode: str
    dry_run: bool
    source_rows: int
    suppressed: int
    duplicates: int
    rejected: int
    skipped: int
    unchanged: int
    added: int
    updated: int
    removed: int
    failed: int
    deleted: int
    deleted_suppressed: int
    deleted_duplicates: int
    rounds: int
    requests: int
    duration_s: float
    plan_digest: str
    report_path: str | None

    @property
    def adds_up(self) -> bool:
        """Whether every source row is counted exactly once."""
        return self.source_rows == (
            self.suppressed
            + self.duplicates
            + self.rejected
            + self.skipped
            + self.unchanged
            + self.added
            + self.updated
            + self.removed
            + self.failed
        )

    def as_dict(self) -> dict[str, Any]:
        """The form for XCom: JSON scalars only, well under 2 KB."""
        return asdict(self)

    def __str__(self) -> str:
        return (
            f"{self.source_rows} rows: {self.added} added, {self.updated} updated, {self.unchanged} unchanged, "
            f"{self.removed} removed, {self.skipped} skipped, {self.suppressed} suppressed, {self.duplicates} "
            f"duplicates, {self.rejected} rejected, {self.failed} failed; contacts deleted: {self.deleted} + "
            f"{self.deleted_suppressed} suppressed + {self.deleted_duplicates} copies"
        )


class ReportFolder:
    """Writes the files of a report; does nothing if no folder was asked for. One method runs at a time.

    :param folder: path object, or ``None``.
    :raises AfilnetConfigurationError: if files there cannot be read and written; nothing was written to the group.
    """

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        # After a stop the main thread may come to the end while the loop's thread still waits for the storage.
        self._lock = threading.Lock()
        self._journal: ReportFile | None = None
        self._backup: ReportFile | None = None
        if folder is None:
            return
        try:
            make_folder(folder)
            self._journal = open_report_file(folder / "journal.jsonl")
            # Also tells whoever looks after a kill that this run did not come to its end.
            self._write_report({"status": "running"})
        except ReportStorageError as error:
            self._close()
            raise AfilnetConfigurationError(
                f"The report_path cannot be used ({error}); give a folder where this worker may read and write files. "
                "Nothing was written to the group."
            ) from None

    def __bool__(self) -> bool:
        return self._folder is not None

    def __str__(self) -> str:
        return str(self._folder)

    def back_up(self, contacts: Iterable[Mapping[str, str]]) -> None:
        """Append whole contacts as they are stored; when this returns, the backup is safe and they may be touched.

        :raises AfilnetReportError: if it is not.
        """
        if self._folder is None:
            return
        with self._lock, _ending_the_run():
            if self._backup is None:
                self._backup = open_report_file(self._folder / "backup.jsonl")
            self._backup.append(map(_line, contacts))
            self._backup.keep()

    def note(self, ops: Iterable[Op], outcome: str, code: str | None = None) -> None:
        """Append what became of writes to the journal: at once on a local disk, later on other storages.

        :raises AfilnetReportError: if they cannot be noted.
        """
        self._note(({"operation": op.kind, "key": op.key, "id": op.id} for op in ops), outcome, code)

    def note_column(self, name: str, outcome: str, code: str | None = None) -> None:
        """Append what became of the creation of a column to the journal.

        :raises AfilnetReportError: if it cannot be noted.
        """
        self._note([{"operation": "create_column", "key": None, "id": None, "field": name}], outcome, code)

    def note_plan(self, columns: Iterable[str], store: Store) -> None:
        """Append what a dry run would write to the journal, in the order in which it would."""
        if self._folder is None:
            return
        for name in columns:
            self.note_column(name, "planned")
        for kind in _KINDS:
            self.note(store.ops(kind), "planned")

    def keep_journal(self) -> None:
        """Make sure of what was noted so far.

        :raises AfilnetReportError: if that cannot be done.
        """
        with self._lock, _ending_the_run():
            if self._journal is not None:
                self._journal.keep()

    def finish(self, store: Store, result: RefreshResult | None, error: BaseException | None) -> None:
        """Write the rejects, the end of the journal, and at last the counts.

        Where that fails, a run that ended with an error keeps that error, with a note. A run that was green is not,
        since who asked for a report would take it that there is one.

        :raises AfilnetReportError: if the run was green and a file cannot be written; it carries the counts.
        """
        if self._folder is None:
            return
        with self._lock:
            try:
                self._write_rest(store, result, error)
            except Exception as failure:  # noqa: BLE001 - whatever it is, the error of the run goes first
                why = str(failure) if isinstance(failure, ReportStorageError) else type(failure).__name__
                if error is not None:
                    said = f"The report in the report_path is not complete ({why})."
                    log.error("%s", said)
                    error.add_note(said)
                    return
                raised = AfilnetReportError(
                    f"The refresh itself ended well, but its report did not: the report_path cannot be written to "
                    f"({why}). The next run repeats nothing in the group and reports anew. Counts: {result}."
                )
                raised.result = result
                raise raised from None
            finally:
                self._close()

    def _write_rest(self, store: Store, result: RefreshResult | None, error: BaseException | None) -> None:
        self._write_anew("rejects.jsonl", map(_line, _rejects(store)))
        if self._journal is not None:
            self._journal.keep()
        self._write_report(
            {
                "status": "success" if error is None else "failed",
                "error": None if error is None else f"{type(error).__name__}: {error}",
                "result": None if result is None else result.as_dict(),
            }
        )

    def _write_report(self, what: Mapping[str, Any]) -> None:
        when = "started" if what["status"] == "running" else "finished"
        report = {when: dt.datetime.now(dt.UTC).isoformat(timespec="seconds"), **what}
        self._write_anew("report.json", [json.dumps(report, indent=2).encode() + b"\n"])

    def _write_anew(self, name: str, lines: Iterable[bytes]) -> None:
        file = open_report_file(self._folder / name, anew=True)
        try:
            file.append(lines)
            file.keep()
        finally:
            file.close()

    def _note(self, lines: Iterable[Mapping[str, Any]], outcome: str, code: str | None) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        with self._lock, _ending_the_run():
            if self._journal is not None:
                self._journal.append(_line({"time": now, **line, "outcome": outcome, "code": code}) for line in lines)

    def _close(self) -> None:
        for file in (self._journal, self._backup):
            if file is not None:
                try:
                    file.close()
                except ReportStorageError as error:
                    log.warning("A file of the report could not be closed (%s).", error)
        self._journal = self._backup = None


@contextmanager
def _ending_the_run() -> Iterator[None]:
    try:
        yield
    except ReportStorageError as error:
        raise AfilnetReportError(
            f"The report_path cannot be written to any more ({error}), so nothing more is written to the group. The "
            "next run reads the group and carries on."
        ) from None


def _line(what: Mapping[str, Any]) -> bytes:
    # Half of a surrogate pair, one of the reasons to be among the rejects, is written as JSON escapes it.
    return json.dumps(what, ensure_ascii=False).encode("utf-8", "backslashreplace") + b"\n"


def _rejects(store: Store) -> Iterator[Mapping[str, Any]]:
    for row, field, reason, data in store.db.execute("SELECT row, field, reason, data FROM rejects ORDER BY row"):
        yield {"row": row, "outcome": "rejected", "field": field, "reason": reason, "source": json.loads(data)}
    for row, key, record_id, field, reason in store.db.execute(
        "SELECT row, key, id, field, reason FROM failures ORDER BY row, key"
    ):
        yield {"row": row, "outcome": "failed", "field": field, "reason": reason, "key": key, "id": record_id}
