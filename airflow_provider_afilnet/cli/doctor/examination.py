"""A whole visit: make or open the scratch group, run the probes, clean up whatever happens."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Final, TypeVar

from airflow_provider_afilnet.api.answers import read_columns, read_new_id
from airflow_provider_afilnet.api.errors import AfilnetError, AfilnetUnprovenReadError
from airflow_provider_afilnet.cli.doctor.contact_probes import NotEmptyError
from airflow_provider_afilnet.cli.doctor.group_probes import id_form, said_id
from airflow_provider_afilnet.cli.doctor.probe_table import EMAIL_PROBES, PROBES
from airflow_provider_afilnet.cli.doctor.scratch import (
    COLUMNS,
    Scratch,
    Shown,
    UnsettledError,
    clean_up,
    new_mark,
    read_shown,
)
from airflow_provider_afilnet.cli.doctor.visit import Visit, run_probes

_T = TypeVar("_T")

_STYLES: Final = {
    "soap": ("soap", "Not asked: it needs a connection with api_style 'soap' and the WSDL's address."),
    "oauth": ("json", "Not asked: it needs a connection with api_style 'json' and the addresses of API and token."),
}


def examine(visit: Visit, group_id: str | None, create: bool) -> list[str]:
    """Run everything that writes, and clean up.

    :param group_id: an empty group of the user's, to work in.
    :param create: make a group; with ``group_id`` only to see what ``creategroup`` and ``deletegroup`` answer.
    :return: a sentence for each thing that is left behind.
    :raises NotEmptyError: if the user's group is not empty; it was not touched.
    """
    before: list[str] | None = None
    try:
        own = None
        if group_id is not None:
            own = _open(visit, group_id)
            before = own.columns
            run_probes(visit, own, PROBES)
        if create:
            _examine_new_group(visit, probes=own is None)
    except KeyboardInterrupt:
        visit.console.failed("visit", "it was stopped; what was found so far is below.")
    except UnsettledError as error:
        visit.console.failed("visit", f"{error}.")
    except AfilnetError as error:
        visit.console.failed("visit", f"{error} The rest was not asked.")
    finally:
        left = _clean(visit, before)
    _tell_the_rest(visit, create)
    return left


def _open(visit: Visit, group_id: str) -> Scratch:
    reply = visit.observer.ask("getgroupcolumns", idgroup=group_id)
    if not reply.ok:
        raise UnsettledError(f"group {group_id} cannot be used: getgroupcolumns was refused with {reply.code}")
    columns = read_columns(reply.result)
    scratch = Scratch(visit.observer, group_id, columns, ours=False, name="", settle=visit.settle)
    leftovers = _count_leftovers(visit, scratch)
    if leftovers is None:
        visit.console.observed("scratch group", f"{group_id} answers null, which proves nothing; the first probe will.")
    # From here on the group is the doctor's to clean.
    visit.scratches.append(scratch)
    # Where it is not known whether the group is empty, nothing is taken for a leftover.
    if leftovers is not None and (left := scratch.clean_leftovers(visit.console.note)):
        raise UnsettledError(f"an earlier visit's leftovers could not be deleted: {left[0].rstrip('.')}")
    scratch.columns = scratch.read_columns()
    if leftovers:
        visit.console.ok("scratch group", f"{leftovers} contacts that an earlier visit left behind were deleted.")
    visit.console.ok("scratch group", f"{group_id} is empty and of type {scratch.kind}.")
    return scratch


def _count_leftovers(visit: Visit, scratch: Scratch) -> int | None:
    """How many contacts there are, all of them an earlier visit's; ``None`` if the answer was null.

    Streamed, and ended by the first contact that is somebody: the group may be a large one, given by mistake.
    """
    count = 0
    try:
        for record in visit.observer.client.contacts(scratch.group_id):
            if not scratch.could_be_own(Shown(record, {})):
                raise NotEmptyError(
                    f"Group {scratch.group_id} is not empty, so nothing was touched; give an empty group, or use "
                    "--create."
                )
            count += 1
    except AfilnetUnprovenReadError:
        return None
    return count


def _examine_new_group(visit: Visit, *, probes: bool) -> None:
    scratch = _create(visit, "mobile")
    if scratch is None:
        return
    if probes:
        run_probes(visit, scratch, PROBES)
        other = _create(visit, "email")
        if other is not None:
            run_probes(visit, other, EMAIL_PROBES)
    _delete_group(visit, scratch)


def _create(visit: Visit, kind: str) -> Scratch | None:
    name = f"afilnet doctor {kind} {dt.datetime.now(dt.UTC):%Y-%m-%d %H.%M.%S}"
    visit.making = name
    fields = [kind, COLUMNS[0], new_mark()]
    reply = visit.observer.ask("creategroup", name=name, type=kind, fields=",".join(fields))
    if not reply.ok:
        visit.making = None
        raise UnsettledError(f"creategroup was refused with {reply.code}")
    form = id_form(reply, "idgroup")
    group_id = read_new_id(reply.result, "idgroup")
    # From here on, whatever happens, the group is told as left behind, until its id is proven.
    visit.lost_groups[name] = (
        "whose id creategroup did not answer" if group_id is None else "whose id could not be proven"
    )
    visit.making = None
    answer = f"{said_id(form)}."
    if group_id is not None:
        try:
            _prove(visit, group_id, fields)
        except _ForeignIdError as error:
            form, answer = "foreign", f"no: it answers {reply.form}, and that is not the new group's id: {error}."
            visit.lost_groups[name] = "whose id creategroup did not answer"
            group_id = None
    if visit.findings.value("creategroup_answer") != form:
        visit.settle_question("creategroup_answer", form, answer)
    if group_id is None:
        visit.console.unknown(
            "scratch group",
            f"one named {name!r} was made and its id was not answered; look it up in the Afilnet panel and go on with: "
            "afilnet doctor --group <its id>.",
        )
        return None
    scratch = Scratch(visit.observer, group_id, fields, ours=True, name=name, settle=visit.settle)
    visit.scratches.append(scratch)
    # Only now: a stop before this line must not lose sight of the group.
    del visit.lost_groups[name]
    visit.console.ok("scratch group", f"{group_id}, named {name!r}, was made.")
    return scratch


class _ForeignIdError(Exception):
    """What ``creategroup`` answered is not the new group's id; ``args[0]`` says how that shows."""


def _prove(visit: Visit, group_id: str, fields: list[str]) -> None:
    """Make sure that the id is that of the group just made: it will be written to, and deleted.

    It may be any number, such as a count or the id of a group of the user's. The new group is the only one that has
    the mark among its columns, and it is empty.

    :param fields: the columns that the new group was made with, the mark included.
    :raises _ForeignIdError: if it is another group's, or no group's.
    :raises UnsettledError: if it may be the right one, and that cannot be proven.
    """
    if group_id in [scratch.group_id for scratch in visit.scratches]:
        raise _ForeignIdError(f"group {group_id} was there before")
    wanted = sorted(fields)

    def columns() -> list[str] | str:
        reply = visit.observer.ask("getgroupcolumns", idgroup=group_id)
        return sorted(map(str.lower, read_columns(reply.result))) if reply.ok else str(reply)

    # A new group may show late.
    found = _read_until(columns, lambda now: now == wanted, visit.settle)
    if isinstance(found, str):
        raise _ForeignIdError(f"getgroupcolumns of group {group_id} was refused with {found}")
    if found != wanted:
        raise _ForeignIdError(f"group {group_id} has other columns than the new one was given")

    def contacts() -> list[Shown] | str | None:
        reply = visit.observer.ask("getcontacts", idgroup=group_id)
        return read_shown(reply.result) if reply.ok else str(reply)

    shown = _read_until(contacts, lambda now: isinstance(now, list), visit.settle)
    if shown:
        what = f"was refused with {shown}" if isinstance(shown, str) else "shows contacts"
        raise _ForeignIdError(f"getcontacts of group {group_id} {what}")
    if shown is None:
        raise UnsettledError(
            f"the new group {group_id} answers null to getcontacts, which does not prove that it is empty, so nothing "
            f"was written to it; if it is empty in the Afilnet panel, go on with: afilnet doctor --group {group_id}"
        )


def _read_until(read: Callable[[], _T], wanted: Callable[[_T], bool], seconds: float) -> _T:
    """The first reading that is as wanted, or the last one when the time is over."""
    end = time.monotonic() + seconds
    pause = 0.1
    while not wanted(found := read()) and time.monotonic() < end:
        time.sleep(pause)
        pause = min(pause * 2, 2.0)
    return found


def _delete_group(visit: Visit, scratch: Scratch) -> None:
    if scratch.has_strangers:
        visit.findings.leave("group_delete", "Not asked: the group holds contacts that are not the doctor's.")
        return
    first = visit.observer.ask("deletegroup", idgroup=scratch.group_id)
    if not first.ok:
        visit.console.failed("deletegroup", f"it was refused with {first.code}.")
        return
    scratch.emptied = True

    def is_gone() -> bool:
        return not visit.observer.ask("getgroupcolumns", idgroup=scratch.group_id).ok

    # Where the id goes on to a next group, a second deletion would delete that one.
    if not _read_until(is_gone, bool, visit.settle):
        visit.findings.leave("group_delete", f"Success with {first.form}; not asked again, as the id is still known.")
        visit.lost_groups[scratch.name] = "which may still be there although deletegroup was a success"
        return
    again = visit.observer.ask("deletegroup", idgroup=scratch.group_id)
    word = again.code or "success"
    visit.settle_question("group_delete", word, f"success with {first.form}; for a group that is gone: {word}.")


def _clean(visit: Visit, before: list[str] | None) -> list[str]:
    left = [
        f"a group named {name!r}, {why}: delete it in the Afilnet panel, after the visit with --group if you want one."
        for name, why in visit.lost_groups.items()
    ]
    if visit.making:
        left.append(f"perhaps a group named {visit.making!r}, whose creation got no answer: look in the Afilnet panel.")
    try:
        found = clean_up(visit.scratches, visit.console.note)
        if before is not None and not found:
            found += _changed_columns(visit.scratches[0], before)
        left += found
    except KeyboardInterrupt:
        left += [scratch.left("the clean-up was stopped") for scratch in visit.scratches if not scratch.emptied]
    if visit.scratches and not left:
        visit.console.ok("clean-up", "nothing is left behind.")
    for sentence in left:
        visit.console.failed("left behind", sentence)
    return left


def _changed_columns(scratch: Scratch, before: list[str]) -> list[str]:
    try:
        after = scratch.read_columns()
    except (AfilnetError, UnsettledError) as error:
        return [f"perhaps other columns in group {scratch.group_id}, which could not be read again ({error})"]
    if sorted(after) == sorted(before):
        return []
    return [f"group {scratch.group_id} has other columns than before: compare them in the Afilnet panel."]


def _tell_the_rest(visit: Visit, create: bool) -> None:
    observer, findings = visit.observer, visit.findings
    if not create:
        for question in ("creategroup_answer", "group_delete"):
            findings.leave(question, "Not asked: only a group that the doctor makes itself can tell; add --create.")
    for question, (style, why) in _STYLES.items():
        if observer.client.settings.style == style:
            visit.settle_question(question, "works", "as this connection says; every call of the visit went that way.")
        else:
            findings.leave(question, why)
    headers = sorted(observer.headers)
    visit.settle_question(
        "rate_limits",
        headers,
        f"{', '.join(headers)}." if headers else f"no header about limits came in {observer.calls} calls.",
        "certain" if headers else "likely",
    )
    latest = max((scratch.latest for scratch in visit.scratches), default=0.0)
    if visit.scratches:
        visit.settle_question(
            "reads_late",
            round(latest, 1),
            f"no: a write showed up to {latest:.1f} s later; set the refresh option settle well above it."
            if latest
            else "yes: every write showed in the next read.",
            "likely",
        )
