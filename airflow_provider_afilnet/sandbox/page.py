"""The page at ``/``: what the sandbox holds and what it was asked, made on the server, without a script.

Contacts are shown in clear: they are a test's own, on the machine of whoever runs it. Passwords are shown nowhere, and
of a call no contact is repeated.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import fields
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from airflow_provider_afilnet.sandbox.calls import Call
from airflow_provider_afilnet.sandbox.control import described
from airflow_provider_afilnet.sandbox.dialect import Dialect
from airflow_provider_afilnet.sandbox.guard import WrongInputError, guarded
from airflow_provider_afilnet.sandbox.state import State

if TYPE_CHECKING:
    from jinja2 import Template

GROUPS_PER_PAGE: Final = 50
CONTACTS_PER_PAGE: Final = 50
_CALLS_SHOWN = 50
_LONGEST_VALUE = 200
# Texts that could be mistaken for nothing, or that change what stands around them, get a visible sign instead.
_UNSEEN: Final[dict[int, int | str]] = {
    **{code: 0x2400 + code for code in range(0x20)},
    0x7F: 0x2421,
    **{code: f"⟨U+{code:04X}⟩" for code in (0xAD, 0xFEFF, *range(0x200B, 0x2010), *range(0x202A, 0x202F))},
    **{code: f"⟨U+{code:04X}⟩" for code in range(0x2060, 0x206A)},
}
_HIDDEN_PARAMS: Final = frozenset({"contact", "class", "method"})


def page_route(state: State) -> Route:
    """The route of the page."""

    async def page(request: Request) -> Response:
        group_id = request.query_params.get("group")
        template, policy = _template()
        text = template.render(
            address=f"{request.url.scheme}://{request.headers['host']}",
            accounts=[{"user": user, "balance": account.balance} for user, account in list(state.accounts.items())],
            dialect=_unusual(state.dialect),
            faults=[_fault(fault.described()) for fault in state.faults.all],
            calls=[_call(call) for call in list(reversed(state.log.calls[-_CALLS_SHOWN:]))],
            **_groups(state, _id(request, "from")),
            **({} if group_id is None else _contacts(state, group_id, _id(request, "after"))),
        )
        headers = {"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        return HTMLResponse(text.encode("utf-8", "replace"), headers={**headers, "Referrer-Policy": "no-referrer"})

    return Route("/", guarded(state, page), methods=["GET"])


@cache
def _template() -> tuple[Template, str]:
    """The page's template, and the policy that lets it have its own style and nothing else."""
    import jinja2

    source = files(__package__).joinpath("page.html").read_text("utf-8")
    style = source.partition("<style>")[2].partition("</style>")[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["shown"] = _shown
    return environment.from_string(source), (
        f"default-src 'none'; style-src 'sha256-{digest}'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _id(request: Request, name: str) -> int:
    text = request.query_params.get(name, "0")
    if not (text.isascii() and text.isdigit() and len(text) < 18):
        raise WrongInputError(f"{name} must be an id.")
    return int(text)


def _shown(value: object) -> str:
    """A value of somebody else's as it can stand in a table."""
    text = str(value)
    if len(text) > _LONGEST_VALUE:
        text = f"{text[:_LONGEST_VALUE]}… ({len(text):,} characters)"
    return text.translate(_UNSEEN)


def _groups(state: State, after: int) -> Mapping[str, Any]:
    groups = state.store.groups(after=after, limit=GROUPS_PER_PAGE + 1)
    return {
        "groups": [described(state, group) for group in groups[:GROUPS_PER_PAGE]],
        "groups_before": after > 0,
        "groups_next": groups[GROUPS_PER_PAGE - 1].id if len(groups) > GROUPS_PER_PAGE else None,
    }


def _contacts(state: State, group_id: str, after: int) -> Mapping[str, Any]:
    group = state.store.group(group_id)
    if group is None:
        raise WrongInputError("The sandbox has no such group.", status=404)
    pages = state.store.contacts(group.id, after=after)
    found = list(islice((contact for page in pages for contact in page), CONTACTS_PER_PAGE + 1))
    return {
        "group": described(state, group),
        "contacts": [(contact.id, contact.values) for contact in found[:CONTACTS_PER_PAGE]],
        "contacts_after": after,
        "contacts_next": found[CONTACTS_PER_PAGE - 1].id if len(found) > CONTACTS_PER_PAGE else None,
    }


def _unusual(dialect: Dialect) -> list[tuple[str, object]]:
    """The choices that differ from the default ones."""
    chosen = ((field.name, getattr(dialect, field.name), field.default) for field in fields(dialect))
    return [(name, value) for name, value, default in chosen if value != default]


def _fault(described: Mapping[str, Any]) -> Mapping[str, Any]:
    usual = {"every": 1, "after": 0}
    own = {
        name: value
        for name, value in described.items()
        if name not in ("id", "kind", "methods", "hits") and value not in (None, usual.get(name))
    }
    return {**described, "detail": own}


def _call(call: Call) -> Mapping[str, Any]:
    moment = datetime.fromtimestamp(call.time, UTC)
    return {
        "moment": moment.isoformat(timespec="milliseconds"),
        "clock": f"{moment:%H:%M:%S}.{moment.microsecond // 1000:03}",
        "call": call,
        "params": {name: value for name, value in call.params.items() if name not in _HIDDEN_PARAMS},
        "has_contact": "contact" in call.params,
    }
