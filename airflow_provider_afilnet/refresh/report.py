"""What a refresh tells: counts for XCom, and a folder of files that the user asked for.

The folder may be any path object with ``/``, ``mkdir`` and ``open``: a local path, or an object storage's. It is the
only place where people are written down.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import IO, Any

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.refresh.store import Op, Store


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
    """Writes the files of a report; does nothing if no folder was asked for.

    :param folder: path object, or ``None``.
    :raises AfilnetConfigurationError: if the folder cannot be made or written to; nothing was written to the group.
    """

    def __init__(self, folder: Any) -> None:
        self._folder = folder
        self._journal: IO[str] | None = None
        if folder is None:
            return
        try:
            # The files hold people: a new local folder is its owner's alone.
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._journal = (folder / "journal.jsonl").open("a", encoding="utf-8")
        except (OSError, ValueError, ImportError) as error:
            raise AfilnetConfigurationError(
                f"The report_path cannot be written to ({type(error).__name__}); give a folder that this worker may "
                "write. Nothing was written to the group."
            ) from error

    def __bool__(self) -> bool:
        return self._folder is not None

    def __str__(self) -> str:
        return str(self._folder)

    def back_up(self, contacts: Iterable[Mapping[str, str]]) -> None:
        """Append whole contacts as they are stored; the file is closed, and so kept, before they are touched."""
        if self._folder is None:
            return
        with (self._folder / "backup.jsonl").open("a", encoding="utf-8") as file:
            for contact in contacts:
                file.write(json.dumps(contact, ensure_ascii=False) + "\n")

    def note(self, ops: Iterable[Op], outcome: str, code: str | None) -> None:
        """Append what became of writes to the journal, at once."""
        if self._journal is None:
            return
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
        for op in ops:
            line = {"time": now, "operation": op.kind, "key": op.key, "id": op.id, "outcome": outcome, "code": code}
            self._journal.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._journal.flush()

    def finish(self, store: Store, result: RefreshResult | None, error: BaseException | None) -> None:
        """Write the rejects and the counts, and end the journal."""
        if self._folder is None:
            return
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        # Half of a surrogate pair, one of the reasons to be in there, is written as JSON escapes it.
        with (self._folder / "rejects.jsonl").open("w", encoding="utf-8", errors="backslashreplace") as file:
            for row, field, reason, data in store.db.execute(
                "SELECT row, field, reason, data FROM rejects ORDER BY row"
            ):
                line = {"row": row, "outcome": "rejected", "field": field, "reason": reason, "source": json.loads(data)}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
            for row, key, record_id, field, reason in store.db.execute(
                "SELECT row, key, id, field, reason FROM failures ORDER BY row, key"
            ):
                line = {"row": row, "outcome": "failed", "field": field, "reason": reason, "key": key, "id": record_id}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")
        report = {
            "finished": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            "status": "success" if error is None else "failed",
            "error": None if error is None else f"{type(error).__name__}: {error}",
            "result": None if result is None else result.as_dict(),
        }
        with (self._folder / "report.json").open("w", encoding="utf-8") as file:
            file.write(json.dumps(report, indent=2) + "\n")
