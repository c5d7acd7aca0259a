"""What a refresh must do to a group, as a small model: written from the documents, apart from the planner."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from refresh_world import bag

from airflow_provider_afilnet.sandbox.dialect import Dialect

BOTH = "687712345"
"""Digits of a Spanish national number that are, with a plus, a number of New Caledonia."""
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

Contact = Mapping[str, str]
Row = Mapping[str, str | None]


class Key(NamedTuple):
    compared: str
    sent: str


AMBIGUOUS = Key("?", "?")


def spellings(kind: str, who: int) -> list[str]:
    """The ways to write the key of a person, the form that is sent first, the national one last."""
    if kind == "email":
        domain = "uno.es" if who % 2 else "xn--bcher-kva.de"
        typed = domain.replace("xn--bcher-kva", "Bücher").upper()
        return [f"user{who}@{domain}", f"  User{who}@{domain}", f"USER{who}@{typed}", f"user{who}@{typed} "]
    digits = {10: BOTH, 11: "34" + BOTH}.get(who, f"346{who:08d}")
    national = [] if digits == BOTH else [digits[2:]]
    return [digits, "+" + digits, f"+{digits[:2]} {digits[2:5]}-{digits[5:]}", f" 00{digits}", *national]


def read(kind: str, raw: str | None, o: Mapping[str, Any]) -> Key | None:
    """What a key means; ``None`` if it cannot be read. It knows just the spellings above."""
    text = (raw or "").strip()
    if kind == "email":
        local, at, domain = text.partition("@")
        if not at:
            return None
        sent = f"{local}@{domain.lower().replace('bücher', 'xn--bcher-kva')}"
        return Key(sent.lower(), sent)
    explicit = text.startswith(("+", "00"))
    digits = re.sub(r"\D", "", text).removeprefix("00")
    if len(digits) == 9 and not explicit:
        if digits == BOTH and o["default_region"] and o["bare_numbers"] == "fail":
            return AMBIGUOUS
        if digits != BOTH and not o["default_region"]:
            return None
        if digits != BOTH or (o["default_region"] and o["bare_numbers"] == "national"):
            digits = "34" + digits
    return Key(digits, digits) if len(digits) == 11 or digits == BOTH else None


@dataclass
class Forecast:
    """What must come of a run without a fault.

    ``stops``: it is refused, and its message says all of these; nothing is written. ``red``: it does what it may, and
    ends red with one of these in its message. ``group``: the contacts afterwards. ``counts``: those that are not 0, or
    ``None`` where they depend on how far the run gets. ``may_go``: ids of contacts that a run may delete. ``quiet``: a
    repeat writes nothing.
    """

    group: Counter[str]
    stops: list[str] = field(default_factory=list)
    red: list[str] = field(default_factory=list)
    counts: dict[str, int] | None = None
    may_go: set[str] = field(default_factory=set)
    quiet: bool = True


def _allowed(limit: float, total: int, always: int = 0) -> int:
    return limit if isinstance(limit, int) else max(always, int(limit * total + 1e-9))


def forecast(
    before: Sequence[Contact],
    rows: Sequence[Row],
    o: Mapping[str, Any],
    *,
    kind: str,
    supplied: Sequence[str],
    columns: Collection[str],
    suppress: Collection[str] | None,
    dialect: Dialect,
    merges: bool,
) -> Forecast:
    """Foretell a run.

    :param before: the group, with ids, oldest first.
    :param rows: the source; each has ``key`` and at least the supplied fields.
    :param columns: the fields of the group.
    :param merges: the run was told that ``modifycontact`` keeps what it is not given.
    """
    mode = o["mode"]
    same = bag({k: v for k, v in contact.items() if k != "idcontact"} for contact in before)

    def stop(*parts: str) -> Forecast:
        return Forecast(same, stops=list(parts))

    # The source.
    if mode == "remove":
        supplied = ()
    if o["unknown_columns"] == "fail" and not set(supplied) <= set(columns):
        return stop("unknown_columns")
    if o["unknown_columns"] == "ignore":
        supplied = [name for name in supplied if name in columns]
    counts: Counter[str] = Counter()
    wanted: dict[str, tuple[str, dict[str, str]]] = {}
    protected: set[str] = set()
    unreadable = ambiguous = 0
    for row in rows:
        key = read(kind, row["key"], o)
        if key is None or key is AMBIGUOUS:
            unreadable += 1
            ambiguous += key is AMBIGUOUS
        elif any(CONTROL.search(row[name] or "") for name in supplied):
            protected.add(key.compared)
        else:
            double = key.compared in wanted
            counts["duplicates"] += double
            if not (double and o["duplicates"] == "first"):
                values = {name: row[name] or "" for name in supplied if row[name] or o["nulls"].get(name) == "clear"}
                wanted[key.compared] = key.sent, values
            continue
        counts["rejected"] += 1
    stops = ["bare_numbers="] if ambiguous else []
    if counts["rejected"] > ambiguous and o["invalid_rows"] == "fail":
        stops.append("invalid_rows='reject'")
    if counts["duplicates"] and o["duplicates"] == "fail":
        stops.append("duplicates='first'")
    if stops:
        return stop(*stops)
    if not wanted and not o["allow_empty"]:
        return stop("allow_empty=True")
    if counts["rejected"] > _allowed(o["max_rejected"], len(rows)):
        return stop("max_rejected=")

    # The opt-outs and the group.
    out_keys = [read(kind, raw, o) for raw in suppress or ()]
    if None in out_keys or AMBIGUOUS in out_keys:
        return stop("Correct the suppression list")
    if suppress is not None and not out_keys and not o["allow_empty_suppress"]:
        return stop("allow_empty_suppress=True")
    out = {key.compared for key in out_keys if key}
    known = {*wanted, *out, *protected}
    people: dict[str, list[Contact]] = {}
    strangers: list[str] = []
    for contact in before:
        exact = contact[kind].strip().lower()
        found = Key(exact, exact) if exact in known else read(kind, contact[kind], o)
        if found is None or found is AMBIGUOUS:
            strangers.append(contact[kind])
        else:
            people.setdefault(found.compared, []).append(contact)
    if len(strangers) > len(before) / 100:
        return stop("cannot be read")
    has_ids = dialect.contacts != "no-ids" or not before
    if not has_ids and mode != "insert":
        return stop("only mode 'insert' can")

    # What becomes of each contact: by id, ``None`` if it is deleted.
    mirror = mode == "mirror"
    withhold = mirror and bool(unreadable) and not o["delete_despite_rejects"]
    reasons = []
    then: dict[str, dict[str, str] | None] = {}
    added: list[dict[str, str]] = []
    replaced: set[str] = set()
    unsafe_rows = still_differ = 0

    def delete(contacts: Sequence[Contact], count: str) -> None:
        then.update((contact["idcontact"], None) for contact in contacts)
        counts[count] += len(contacts)

    def may_be_a_stranger(key: str) -> bool:
        numbers = ["".join(filter(str.isdecimal, raw)).lstrip("0") for raw in strangers if kind == "mobile"]
        return any(len(digits) > 6 and (key.endswith(digits) or digits.endswith(key)) for digits in numbers)

    def stored(values: Mapping[str, str]) -> dict[str, str]:
        trims = dialect.stored_value == "trim"
        return {name: value.strip() if trims and name != kind else value for name, value in values.items()}

    def differs(contact: Contact, values: Mapping[str, str]) -> bool:
        return any(contact.get(name, "") != value for name, value in values.items() if name not in o["lossy_fields"])

    for key, (sent, values) in wanted.items():
        there = people.get(key, [])
        if key in out:
            counts["suppressed"] += 1
        elif not there and may_be_a_stranger(key):
            counts["failed"] += 1
            reasons.append("ends in the same digits")
        elif mode == "remove":
            counts["removed" if there else "skipped"] += 1
            delete(there, "deleted")
        elif (mode == "insert" and there) or (mode == "update" and not there):
            counts["skipped"] += 1
        elif not there:
            counts["added"] += 1
            added.append(stored({kind: sent} | {name: value for name, value in values.items() if value}))
            still_differ += differs(added[-1], values)
        else:
            spare: list[Contact] = []
            if mirror and withhold and len(there) > 1:
                reasons.append("more than once")
            elif mirror:
                # The oldest stays, of those whose key is written as it is compared, if there are any.
                there = sorted(there, key=lambda contact: contact[kind] != key)
                there, spare = there[:1], there[1:]
            changed = [contact for contact in there if differs(contact, values)]
            texts = [values if merges else {**contact, **values} for contact in changed]
            safe = not any("," in value or ":" in value for text in texts for value in text.values())
            if not changed or safe or o["unsafe_values"] != "reject":
                # A row that is rejected protects all its contacts.
                delete(spare, "deleted_duplicates")
            if not changed:
                counts["unchanged"] += 1
            elif safe or (o["unsafe_values"] == "replace" and len(there) == 1):
                counts["updated"] += 1
                for contact in changed:
                    kept = contact if safe and merges else stored(contact)
                    then[contact["idcontact"]] = new = {**kept, **stored(values)}
                    # What the source does not give is to stay as it was.
                    still_differ += differs(new, {**contact, **values})
                if not safe:
                    replaced.add(changed[0]["idcontact"])
            elif o["unsafe_values"] == "reject":
                counts["rejected"] += 1
            else:
                unsafe_rows += 1
    for key, contacts in people.items():
        if key in out:
            delete(contacts, "deleted_suppressed")
        elif mirror and key not in known and withhold:
            reasons.append("delete_despite_rejects")
        elif mirror and key not in known:
            delete(contacts, "deleted")
    if mirror and strangers:
        reasons.append("never deleted")
    if any(map(may_be_a_stranger, out)):
        reasons.append("ends in the same digits")
    if "34" + BOTH in out and BOTH not in known:
        # A Spanish opt-out, and digits that may be the same person or somebody in New Caledonia.
        bare = [one for one in people.get(BOTH, []) if not one[kind].strip().startswith(("+", "00"))]
        if any(one["idcontact"] not in then for one in bare):
            reasons.append("without its country code")

    # Whether it may be done, and what can be seen afterwards.
    may_go = {number for number, values in then.items() if values is None} | replaced if has_ids else set()
    if counts["rejected"] > _allowed(o["max_rejected"], len(rows)):
        stops.append("max_rejected=")
    elif unsafe_rows:
        stops.append("unsafe_values=")
    elif len(may_go) > _allowed(o["max_deletes"], len(before), always=9):
        stops.append("max_deletes=")
    if stops:
        return Forecast(same, stops, may_go=may_go)
    exact = True
    if then and (not has_ids or dialect.contacts == "positional"):
        # Nobody can be named, so only additions are made.
        then, exact = {}, False
        reasons.append("ids")
    if still_differ and o["verify"]:
        exact = False
        reasons.append("differ")
    after = [then.get(contact["idcontact"], contact) for contact in before]
    group = bag({k: v for k, v in contact.items() if k != "idcontact"} for contact in [*after, *added] if contact)
    return Forecast(
        same if o["dry_run"] else group,
        red=[] if o["dry_run"] else reasons,
        counts={name: n for name, n in counts.items() if n} if exact or (o["dry_run"] and has_ids) else None,
        may_go=may_go,
        quiet=exact and not still_differ,
    )
