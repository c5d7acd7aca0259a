"""Every refresh option as an option of the command line. Names and defaults come from the options themselves."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import click

from airflow_provider_afilnet.refresh import options as refresh
from airflow_provider_afilnet.refresh.errors import AfilnetOptionError
from airflow_provider_afilnet.refresh.options import RefreshOptions

_CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "mode": get_args(refresh.Mode),
    "key_field": ("mobile", "email"),
    "unknown_columns": get_args(refresh.UnknownColumns),
    "bare_numbers": get_args(refresh.BareNumbers),
    "duplicates": get_args(refresh.Duplicates),
    "invalid_rows": get_args(refresh.InvalidRows),
    "unsafe_values": get_args(refresh.UnsafeValues),
}

_PAIRS: Final = {"column_map": "COLUMN=FIELD", "nulls": "[FIELD=]keep|clear"}

HELP: Final[dict[str, str]] = {
    "mode": "insert only new contacts; update only existing ones; upsert both; mirror: both, and delete contacts that "
    "the file lacks; remove: delete those of the file.",
    "key_field": "The key, where the group has both columns.  [default: read from the columns]",
    "column_map": "A column of the file and the group's field for it; may be repeated.",
    "unknown_columns": "Columns that the group lacks.",
    "default_region": "Two letters of the country whose national phones may stand without prefix, such as ES.",
    "bare_numbers": "Digits that are valid both as a national and as another country's number.",
    "nulls": "Blank values: keep what is stored, or clear it; for all, or, repeated, by field.  [default: keep]",
    "duplicates": "Rows with the same key: fail, or let the first or the last count.",
    "invalid_rows": "Rows that cannot be sent: fail before the first write, or reject them and go on.",
    "max_rejected": "With reject: most rows to reject, a count (5) or a fraction (0.01).",
    "max_deletes": "Most contacts to delete, a count (5) or a fraction of the group (0.1).",
    "allow_empty": "Accept a file without rows.",
    "delete_despite_rejects": "Let mirror delete although some row's key could not be read.",
    "allow_empty_suppress": "Accept opt-outs without a single key.",
    "unsafe_values": "Changed contacts with a comma or a colon in a value: fail, reject, or replace (delete and add).",
    "lossy_fields": "Fields, with commas between, that the service may store in another form.",
    "batch_size": "Most contacts in one call.",
    "batch_bytes": "Most bytes in one call.",
    "settle": "Seconds to wait until the group shows what was written.",
    "dry_run": "Read, plan and report, and write nothing.",
    "verify": "Read the group again at the end.",
}
"""What each option means."""


def defaults() -> dict[str, Any]:
    """Option name to default, in the order of the options."""
    return {name: found.default for name, found in inspect.signature(RefreshOptions.read).parameters.items()}


def refresh_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command every refresh option as ``--kebab-case``."""
    for name, default in reversed(defaults().items()):
        command = _option(name, default)(command)
    return command


def _option(name: str, default: object) -> Callable[[Callable[..., None]], Callable[..., None]]:
    flag = f"--{name.replace('_', '-')}"
    if isinstance(default, bool):
        spelled = f"{flag}/--no-{flag.removeprefix('--')}" if default else flag
        return click.option(spelled, name, is_flag=True, default=default, show_default=default, help=HELP[name])
    if name in _PAIRS:
        return click.option(flag, name, multiple=True, metavar=_PAIRS[name], help=HELP[name])
    # As text: the options themselves tell a count from a fraction, and say what is wrong.
    text = None if default is None else str(default)
    kind = click.Choice(_CHOICES[name]) if name in _CHOICES else click.STRING
    metavar = None if name in _CHOICES else "NUMBER" if isinstance(default, (int, float)) else "TEXT"
    return click.option(flag, name, type=kind, metavar=metavar, default=text, show_default=True, help=HELP[name])


def refresh_options(flags: Mapping[str, Any]) -> RefreshOptions:
    """The options that were given.

    :raises AfilnetOptionError: naming the option and what it takes.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    given["column_map"] = dict(_pair("--column-map", text) for text in given.get("column_map") or ())
    given["nulls"] = _nulls(given.get("nulls") or ())
    return RefreshOptions.read(**given)


_SPELLED: Final = re.compile(
    rf"(?<![\w-])(?P<word>Refresh option |option )?['\"]?(?P<name>{'|'.join(HELP)})\b(?:\['(?P<of>[^']*)'\])?['\"]?"
    r"(?:=['\"]?(?P<value>\w+(?:\.\d+)?)['\"]?)?"
)


def in_flags(message: str) -> str:
    """A message of the refresh with options as they are written here: ``--allow-empty`` for ``allow_empty=True``."""

    def flag(found: re.Match[str]) -> str:
        # A name without an underscore may be any word, so it counts only where it is called an option or has a value.
        if "_" not in found["name"] and not found["word"] and found["value"] is None:
            return found[0]
        name, value = found["name"].replace("_", "-"), found["value"]
        if found["of"] is not None:
            return f"--{name} {found['of']}=…"
        if value is None or value == "True":
            return f"--{name}"
        return f"--no-{name}" if value == "False" else f"--{name} {value}"

    return _SPELLED.sub(flag, message)


def _pair(option: str, text: str) -> tuple[str, str]:
    left, equals, right = text.partition("=")
    if not equals or not left.strip() or not right.strip():
        raise AfilnetOptionError(f"{option} takes {_PAIRS[option[2:].replace('-', '_')]}, not {text!r}.")
    return left.strip(), right.strip()


def _nulls(texts: tuple[str, ...]) -> str | dict[str, str]:
    if len(texts) == 1 and "=" not in texts[0]:
        return texts[0]
    return dict(_pair("--nulls", text) for text in texts) or "keep"
