"""Refuse a plan that looks like an accident, before its first write. Every refusal names the way through."""

from __future__ import annotations

from airflow_provider_afilnet.refresh.errors import AfilnetGuardrailError, AfilnetLyingReadError
from airflow_provider_afilnet.refresh.group_read import GroupRead
from airflow_provider_afilnet.refresh.options import SMALL_NUMBER, RefreshOptions
from airflow_provider_afilnet.refresh.plan import Plan
from airflow_provider_afilnet.refresh.source import GroupFields, reject_samples
from airflow_provider_afilnet.refresh.store import Store

_UNREADABLE_SHARE = 0.01


def check_rejects(store: Store, rows: int, options: RefreshOptions) -> None:
    """More rejected rows than ``max_rejected`` allows stop the run."""
    rejected, allowed = int(store.one("SELECT count(*) FROM rejects")), options.max_rejected.allows(rows)
    if rejected > allowed:
        raise AfilnetGuardrailError(
            f"Nothing was written: {rejected} of {rows} rows were rejected and max_rejected={options.max_rejected} "
            f"allows {allowed}: {reject_samples(store)}. Correct the source, or raise max_rejected."
        )


def check_read(
    read: GroupRead, unreadable: int, fields: GroupFields, options: RefreshOptions, *, first: bool = True
) -> None:
    """A read that cannot be worked with stops the run: no ids, or too many keys that cannot be read."""
    nothing = _nothing(first)
    if unreadable > read.count * _UNREADABLE_SHARE:
        region = (
            "" if fields.kind == "email" else (" If they are national numbers, set default_region (and bare_numbers).")
        )
        raise AfilnetGuardrailError(
            f"{nothing}: {unreadable} of {read.count} contacts of the group have a {fields.key!r} that "
            f"cannot be read, more than 1 %, so people would be added twice.{region} Otherwise correct them at Afilnet."
        )
    if not read.has_ids and options.mode != "insert":
        raise AfilnetGuardrailError(
            f"{nothing}: the group's answer gives no contact ids, so contacts cannot be updated or deleted "
            f"and mode {options.mode!r} cannot run; only mode 'insert' can."
        )


def check_plan(plan: Plan, first_size: int, deleted_before: int, options: RefreshOptions, *, first: bool) -> None:
    """Too many deletions, or values that cannot be written, stop the run.

    :param first_size: contacts in the first read of the run; fractions are of it.
    :param deleted_before: contacts that this run has deleted already.
    :param first: nothing was written yet.
    """
    nothing = _nothing(first)
    if plan.unsafe_rows:
        raise AfilnetGuardrailError(
            f"{nothing}: {plan.unsafe_rows} changed contacts hold a comma or a colon, which modifycontact "
            f"cannot carry, or are there twice and would need it ({', '.join(plan.unsafe_sample)}). Change the values, "
            "leave these rows out with unsafe_values='reject', or let them be deleted and added anew, with a new id, "
            "with unsafe_values='replace'."
        )
    allowed = options.max_deletes.allows(first_size, always=SMALL_NUMBER)
    deleting = deleted_before + plan.deleting
    if plan.deleting and deleting > allowed:
        parts = [f"{number} {why}" for why, number in sorted(plan.deletes.items())]
        replaced = plan.replaces + plan.later_replaces
        parts += [f"{replaced} replaced"] if replaced else []
        raise AfilnetGuardrailError(
            f"{nothing}: {deleting} contacts of "
            f"{first_size} would be deleted ({', '.join(parts)}) and max_deletes={options.max_deletes} allows "
            f"{allowed}. If that is right, raise max_deletes (a whole number is a count, 1.0 is all)."
        )


def _nothing(first: bool) -> str:
    return "Nothing was written" if first else "Nothing more was written"


def check_proof(read: GroupRead, plan: Plan, options: RefreshOptions) -> None:
    """A null answer is no proof of an empty group; only additions can find out, by their probe."""
    if not read.proven and (options.dry_run or not plan.adds):
        raise AfilnetLyingReadError(
            "Nothing was written: getcontacts answered null, which is no proof of an empty group, and this run adds "
            "nobody, which could find out. Look at the group in the Afilnet panel; if it is empty, add one contact."
        )
