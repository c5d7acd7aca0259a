"""``afilnet contacts``: take a group's contacts out into a file, or make a group follow one."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from airflow_provider_afilnet.cli.credentials import connection_option, find_settings
from airflow_provider_afilnet.cli.group_id import read_group_id
from airflow_provider_afilnet.cli.refresh_flags import in_flags, refresh_flags, refresh_options
from airflow_provider_afilnet.cli.signals import end_as_ctrl_c
from airflow_provider_afilnet.refresh.errors import AfilnetOptionError, AfilnetRefreshError, AfilnetSourceError

if TYPE_CHECKING:
    from airflow_provider_afilnet.refresh.engine import Refresh

_FORMATS = ("csv", "jsonl")


@click.group(short_help="Export the contacts of a group, or import a file into it.")
def contacts() -> None:
    """Export the contacts of a group, or import a file into it."""


@contacts.command("export", short_help="Write the contacts of a group to a file.")
@click.argument("group", metavar="GROUP")
@connection_option
@click.option("--format", "kind", type=click.Choice(_FORMATS), help="[default: by the ending of --output; else csv]")
@click.option("--output", metavar="FILE", default="-", show_default=True, help="File to write, - for standard output.")
@click.option(
    "--spreadsheet",
    is_flag=True,
    help="For opening in a spreadsheet: values that it would run as formulas get an apostrophe in front. Such a file "
    "is not for import.",
)
def export_contacts(group: str, connection: str | None, kind: str | None, output: str, spreadsheet: bool) -> None:
    """Write all contacts of the group with the id GROUP, as CSV or as JSON lines.

    The file appears when it is complete: after a failure there is no half file, and an older one is as it was. Values
    are written as they are, so that the file can be imported again. It needs little memory, however large the group.
    """
    from airflow_provider_afilnet.api.answers import read_columns
    from airflow_provider_afilnet.api.client import AfilnetClient
    from airflow_provider_afilnet.api.contact_files import write_csv, write_jsonl
    from airflow_provider_afilnet.cli.contact_file import Formulas, whole_output

    kind = kind or _kind_of(output)
    if spreadsheet and kind != "csv":
        raise click.UsageError("--spreadsheet is for csv; no spreadsheet runs what stands in JSON.")
    group_id = read_group_id(group, "GROUP")
    settings, _ = find_settings(connection)
    formulas = Formulas(defused=spreadsheet)
    # Or half a file of people would stay behind.
    end_as_ctrl_c()
    with AfilnetClient(settings) as client, whole_output(output) as file:
        contacts = (contact.as_dict() for contact in client.contacts(group_id))
        if kind == "csv":
            columns = read_columns(client.call("getgroupcolumns", idgroup=group_id))
            count = write_csv(file, columns, contacts, shown=formulas.shown)
        else:
            count = write_jsonl(file, contacts)
    where = "standard output" if output == "-" else output
    click.echo(f"{count} contacts of group {group_id} written to {where}.", err=True)
    if formulas.count and not spreadsheet:
        click.echo(
            f"Careful: {formulas.count} values begin like a formula; a spreadsheet would run them. --spreadsheet "
            "writes a file that is safe to open there.",
            err=True,
        )


def _kind_of(output: str) -> str:
    if output == "-":
        return "csv"
    ending = Path(output).suffix.lower().removeprefix(".")
    if ending not in _FORMATS:
        raise click.UsageError(f"{output} ends in neither .csv nor .jsonl; say which is meant with --format.")
    return ending


@contacts.command("import", short_help="Make a group follow a file.")
@click.argument("group", metavar="GROUP")
@click.argument("file", metavar="FILE", type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path))
@connection_option
@refresh_flags
@click.option(
    "--suppress",
    type=click.Path(exists=True, dir_okay=False, readable=True, path_type=Path),
    help="File of opt-outs, one phone or e-mail a line: never added, and removed if they are there.",
)
@click.option(
    "--report",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for the report: counts, rejected rows, a backup of changed contacts, a journal of every write. It "
    "holds personal data.",
)
def import_contacts(
    group: str, file: Path, connection: str | None, suppress: Path | None, report: Path | None, **flags: Any
) -> None:
    """Make the group with the id GROUP follow FILE, a .csv or .jsonl file in UTF-8.

    The whole file is read and checked, the group is read, a plan is made, and only then anything is written; afterwards
    the group is read again. Where two wishes are possible it stops before the first write and names both. A column
    idcontact is left out, so that an export can be imported. After a stop or an error, run it again: it does only what
    is missing.

    Exit codes: 0 the group is as asked, 1 it is not, and the message says why, 2 wrong usage.
    """
    from airflow_provider_afilnet.cli.progress_bar import ProgressBar
    from airflow_provider_afilnet.refresh.engine import Refresh
    from airflow_provider_afilnet.refresh.row_files import ENCODING, ENDINGS, rows_of_file

    if not file.name.lower().endswith(ENDINGS):
        raise click.UsageError(f"FILE must end in .csv or .jsonl, which says what it holds, not in {file.suffix!r}.")
    try:
        options = refresh_options(flags)
    except AfilnetOptionError as error:
        raise click.UsageError(in_flags(str(error))) from None
    group_id = read_group_id(group, "GROUP")
    settings, _ = find_settings(connection)
    opt_outs = None if suppress is None else lambda: _lines(suppress)
    with ProgressBar() as bar, file.open(encoding=ENCODING, newline="") as opened:
        refresh = Refresh(settings, group_id, options, report_folder=report, watch=bar.show)
        _stop_on_signals(refresh)
        try:
            result = refresh.run(rows_of_file(opened, file.name, keep=options.column_map), suppress=opt_outs)
        except AfilnetOptionError as error:
            raise click.UsageError(in_flags(str(error))) from None
        except AfilnetRefreshError as error:
            raise click.ClickException(in_flags(str(error))) from None
    if options.dry_run:
        click.echo("Dry run, nothing was written. It would be:")
    click.echo(str(result))


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8-sig") as file:
            yield from (line.strip() for line in file if line.strip())
    except UnicodeDecodeError:
        raise AfilnetSourceError(f"{path.name} is not UTF-8 text; save it as UTF-8.") from None


def _stop_on_signals(refresh: Refresh) -> None:
    """The first signal ends the writing in good order; a second one ends the process."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before: dict[int, Callable[..., Any] | int | None] = {number: signal.getsignal(number) for number in numbers}

    def stop(*_: object) -> None:
        for number, handler in before.items():
            signal.signal(number, handler)
        refresh.stop()
        with suppress(OSError):
            click.echo("\nStopping …", err=True)

    for number in numbers:
        signal.signal(number, stop)
