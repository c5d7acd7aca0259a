"""``afilnet doctor``: what it will do, the question whether it may, the visit, and what to do with its result."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from airflow_provider_afilnet.cli.credentials import connection_option, find_settings
from airflow_provider_afilnet.cli.group_id import read_group_id
from airflow_provider_afilnet.cli.signals import end_as_ctrl_c

if TYPE_CHECKING:
    from airflow_provider_afilnet.cli.doctor.console import Console

_REPORT: Final = "afilnet-doctor"
_MOST_LISTED: Final = 10_000


@click.command(short_help="Check an account and find out how the service behaves.")
@connection_option
@click.option("--create", is_flag=True, help="Let the doctor make a scratch group, and delete it at the end.")
@click.option("--group", "group_id", metavar="ID", help="Work in this group of yours, which must be empty.")
@click.option(
    "--report",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=_REPORT,
    show_default=True,
    help="Folder for the report, as Markdown and JSON.",
)
@click.option("--yes", is_flag=True, help="Do not ask before the first write.")
@click.option(
    "--longest-list",
    type=click.IntRange(1, _MOST_LISTED),
    default=1000,
    show_default=True,
    help="Longest list of contacts to try.",
)
@click.option(
    "--longest-value",
    type=click.IntRange(10, 100_000),
    default=5000,
    show_default=True,
    help="Longest value to try, in characters.",
)
@click.option("--keep-country", is_flag=True, help="Do not set the group's country (the API cannot undo it).")
@click.option(
    "--settle",
    type=click.FloatRange(0.1, 600),
    default=10.0,
    show_default=True,
    help="Seconds to wait until a read shows what was written.",
)
def doctor(
    connection: str | None,
    create: bool,
    group_id: str | None,
    folder: Path,
    yes: bool,
    longest_list: int,
    longest_value: int,
    keep_country: bool,
    settle: float,
) -> None:
    """Check an account step by step, and find out what the documents of the API leave open.

    Alone it changes nothing: it looks at reachability, TLS, sign-in and balance.

    With --create or --group it tries all methods in a scratch group: whether creategroup answers an id, what becomes of
    duplicates and of values, whether modifycontact merges, how long lists and values may be, and more. It prints the
    api_facts for the connection and writes a report that holds types and key names, no values and nobody's data.

    It is safe on a real account: no other group is touched and no campaign is sent. All contacts are fictional (British
    numbers kept for films, such as +44 7700 900123, and addresses at example.com), and are deleted at the end, also
    after Ctrl-C.

    Exit codes: 0 it came to its end and cleaned up, 1 something failed or is left behind, 2 wrong usage.
    """
    from airflow_provider_afilnet.api.client import AfilnetClient
    from airflow_provider_afilnet.cli.doctor.console import Console
    from airflow_provider_afilnet.cli.doctor.contact_probes import NotEmptyError
    from airflow_provider_afilnet.cli.doctor.examination import examine
    from airflow_provider_afilnet.cli.doctor.findings import Findings
    from airflow_provider_afilnet.cli.doctor.observer import Observer
    from airflow_provider_afilnet.cli.doctor.reach import ask_codes, reach, sign_in
    from airflow_provider_afilnet.cli.doctor.report import report_of, write_report
    from airflow_provider_afilnet.cli.doctor.visit import Visit

    if group_id is not None:
        group_id = read_group_id(group_id, "--group")
    settings, source = find_settings(connection)
    console = Console()
    console.note(f"Afilnet at {settings.origin}, credentials from {source}.")
    if not reach(settings, console):
        sys.exit(1)
    with AfilnetClient(settings) as client:
        visit = Visit(
            Observer(client),
            Findings(),
            console,
            longest_list=longest_list,
            longest_value=longest_value,
            set_country=not keep_country,
            settle=settle,
        )
        if not sign_in(visit):
            sys.exit(1)
        ask_codes(visit)
        if not create and group_id is None:
            console.note("\nThat is all that can be seen without writing; --create or --group ID goes on.")
            sys.exit(int(console.has_failures))
        console.note(_plan(visit, group_id, create))
        _ask_leave(yes)
        end_as_ctrl_c()
        try:
            left = examine(visit, group_id, create)
        except NotEmptyError as error:
            raise click.UsageError(str(error)) from None
        report = report_of(visit, left)
        _show(report, console)
        try:
            paths = write_report(folder, report)
        except OSError as error:
            raise click.ClickException(
                f"The report cannot be written to {folder} ({error.strerror or type(error).__name__}); everything "
                "else is done."
            ) from None
        console.note(f"\nReport: {', '.join(map(str, paths))}")
        sys.exit(int(console.has_failures or bool(left)))


def _plan(visit: Any, group_id: str | None, create: bool) -> str:
    from airflow_provider_afilnet.cli.doctor.scratch import COLUMNS

    lines = ["", "What happens next in this account:"]
    if create and group_id is None:
        lines += [
            "  - creategroup makes two groups, one of type mobile and one of type email, named 'afilnet doctor …'; if",
            "    it answers no id that proves to be theirs, the doctor stops there and says which group is left, since",
            "    the API lists no groups",
        ]
    elif create:
        lines.append("  - creategroup makes one group named 'afilnet doctor …', and deletegroup deletes it")
    if group_id is not None:
        lines.append(
            f"  - group {group_id}, which must be empty, gets the columns {' and '.join(COLUMNS)} and loses them again"
        )
        if visit.set_country:
            lines.append("  - its country becomes GBR; the API can neither read nor undo that (--keep-country)")
    lines += [
        f"  - some 40 single contacts and lists of up to {visit.longest_list} are added, changed and deleted: phones",
        "    that are kept for films (+44 7700 900000 to 900999, then other British ranges of that kind) and",
        "    afilnet-doctor-…@example.com, so that no person can be meant",
        "  - no other group is touched, nothing is sent to anybody; at the end everything is deleted again",
    ]
    return "\n".join(lines)


def _ask_leave(yes: bool) -> None:
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("Nobody can be asked whether this may begin; add --yes.")
    if not click.confirm("Go on?"):
        click.echo("Nothing was written.")
        sys.exit(2)


def _show(report: dict[str, Any], console: Console) -> None:
    unknown = [finding for finding in report["findings"] if finding["confidence"] == "unknown"]
    if unknown:
        console.note("\nStill unknown:")
        for finding in unknown:
            console.note(f"  {finding['text']} {finding['answer']}")
    times = ", ".join(f"{name} {median}" for name, median in report["median_ms"].items())
    console.note(f"\n{report['calls']} calls; median in ms: {times}.")
    console.note("\nFor the connection's extras:")
    console.note(json.dumps({"api_facts": report["api_facts"]}))
    for name, option in report["recommended"].items():
        console.note(f"Refresh option {name}: {option['value']} ({option['why']}).")
