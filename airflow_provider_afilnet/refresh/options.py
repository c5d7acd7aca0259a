"""The refresh options: one class, read strictly, shared by both operators and the plain Python interface."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar, get_args

from airflow_provider_afilnet.api.errors import AfilnetConfigurationError
from airflow_provider_afilnet.api.settings import read_bool
from airflow_provider_afilnet.refresh.errors import AfilnetOptionError

Mode = Literal["insert", "update", "upsert", "mirror", "remove"]
UnknownColumns = Literal["fail", "ignore", "create"]
BareNumbers = Literal["fail", "national", "international"]
Nulls = Literal["keep", "clear"]
Duplicates = Literal["fail", "first", "last"]
InvalidRows = Literal["fail", "reject"]
UnsafeValues = Literal["fail", "reject", "replace"]

SMALL_NUMBER: Final = 9
"""A fraction never trips below 10 contacts: so many are always allowed."""


@dataclass(frozen=True, slots=True)
class Limit:
    """A bound given as a count or as a fraction of a total."""

    count: int | None = None
    fraction: float | None = None

    def allows(self, total: int, *, always: int = 0) -> int:
        """How many are allowed out of ``total``.

        :param always: what a fraction allows in any case.
        """
        if self.count is not None:
            return self.count
        assert self.fraction is not None
        # The small addend keeps 0.1 of 30 at 3 although the product is 2.9999….
        return max(always, math.floor(self.fraction * total + 1e-9))

    def __str__(self) -> str:
        return str(self.count) if self.count is not None else str(self.fraction)


@dataclass(frozen=True, slots=True)
class RefreshOptions:
    """What a refresh is to do; make it with :meth:`read`. The table in ``docs/refresh.md`` explains every option."""

    mode: Mode = "upsert"
    key_field: str | None = None
    column_map: Mapping[str, str] = field(default_factory=dict)
    unknown_columns: UnknownColumns = "fail"
    default_region: str | None = None
    bare_numbers: BareNumbers = "fail"
    nulls: Mapping[str, Nulls] | Nulls = "keep"
    duplicates: Duplicates = "fail"
    invalid_rows: InvalidRows = "fail"
    max_rejected: Limit = Limit(count=0)
    max_deletes: Limit = Limit(fraction=0.1)
    allow_empty: bool = False
    delete_despite_rejects: bool = False
    allow_empty_suppress: bool = False
    unsafe_values: UnsafeValues = "fail"
    lossy_fields: frozenset[str] = frozenset()
    batch_size: int = 500
    batch_bytes: int = 256 * 1024
    settle: float = 10.0
    dry_run: bool = False
    verify: bool = True

    @classmethod
    def read(
        cls,
        *,
        mode: object = "upsert",
        key_field: object = None,
        column_map: object = None,
        unknown_columns: object = "fail",
        default_region: object = None,
        bare_numbers: object = "fail",
        nulls: object = "keep",
        duplicates: object = "fail",
        invalid_rows: object = "fail",
        max_rejected: object = 0,
        max_deletes: object = 0.1,
        allow_empty: object = False,
        delete_despite_rejects: object = False,
        allow_empty_suppress: object = False,
        unsafe_values: object = "fail",
        lossy_fields: object = None,
        batch_size: object = 500,
        batch_bytes: object = 256 * 1024,
        settle: object = 10.0,
        dry_run: object = False,
        verify: object = True,
    ) -> RefreshOptions:
        """Read options as a user gives them; numbers and booleans may be templated text.

        :raises AfilnetOptionError: naming the option, its value and what it takes.
        """
        return cls(
            mode=_choice("mode", mode, Mode),
            key_field=_key_field(key_field),
            column_map=_column_map(column_map),
            unknown_columns=_choice("unknown_columns", unknown_columns, UnknownColumns),
            default_region=_region(default_region),
            bare_numbers=_choice("bare_numbers", bare_numbers, BareNumbers),
            nulls=_nulls(nulls),
            duplicates=_choice("duplicates", duplicates, Duplicates),
            invalid_rows=_choice("invalid_rows", invalid_rows, InvalidRows),
            max_rejected=_limit("max_rejected", max_rejected),
            max_deletes=_limit("max_deletes", max_deletes),
            allow_empty=_boolean("allow_empty", allow_empty),
            delete_despite_rejects=_boolean("delete_despite_rejects", delete_despite_rejects),
            allow_empty_suppress=_boolean("allow_empty_suppress", allow_empty_suppress),
            unsafe_values=_choice("unsafe_values", unsafe_values, UnsafeValues),
            lossy_fields=_names("lossy_fields", lossy_fields),
            batch_size=_positive("batch_size", batch_size),
            batch_bytes=_positive("batch_bytes", batch_bytes),
            settle=_seconds("settle", settle),
            dry_run=_boolean("dry_run", dry_run),
            verify=_boolean("verify", verify),
        )

    def clears(self, field_name: str) -> bool:
        """Whether a null of the source clears the stored value of this group field."""
        if isinstance(self.nulls, str):
            return self.nulls == "clear"
        return self.nulls.get(field_name.lower(), "keep") == "clear"


T = TypeVar("T")


def _wrong(option: str, value: object, wanted: str) -> AfilnetOptionError:
    return AfilnetOptionError(f"Refresh option {option!r} must be {wanted}, not {value!r}.")


def _choice(option: str, value: object, literal: Any) -> Any:
    choices = get_args(literal)
    if value not in choices:
        raise _wrong(option, value, f"one of {', '.join(map(repr, choices))}")
    return value


def _boolean(option: str, value: object) -> bool:
    try:
        return read_bool(value, f"Refresh option {option!r}")
    except AfilnetConfigurationError as error:
        raise AfilnetOptionError(str(error)) from None


def _limit(option: str, value: object) -> Limit:
    wanted = "a whole number (a count) or a number with a point from 0.0 to 1.0 (a fraction)"
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(r"\d{1,12}", text):
            return Limit(count=int(text))
        if not re.fullmatch(r"\d{0,12}\.\d{1,12}|\d{1,12}\.", text):
            raise _wrong(option, value, wanted)
        value = float(text)
    if isinstance(value, bool):
        raise _wrong(option, value, wanted)
    if isinstance(value, int) and value >= 0:
        return Limit(count=value)
    if isinstance(value, float) and 0.0 <= value <= 1.0:
        return Limit(fraction=value)
    raise _wrong(option, value, wanted)


def _positive(option: str, value: object) -> int:
    if isinstance(value, str) and re.fullmatch(r"\d{1,12}", value.strip()):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise _wrong(option, value, "a whole number of 1 or more")
    return value


def _seconds(option: str, value: object) -> float:
    if isinstance(value, str) and re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 86400:
        raise _wrong(option, value, "a number of seconds from 0 up to a day")
    return float(value)


def _region(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z]{2}", value.strip()):
        raise _wrong("default_region", value, "a two-letter country code such as 'ES'")
    return value.strip().upper()


def _key_field(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str) or value.strip().lower() not in ("mobile", "email"):
        raise _wrong("key_field", value, "'mobile' or 'email'")
    return value.strip().lower()


def _column_map(value: object) -> Mapping[str, str]:
    if value is None:
        return {}
    wanted = "a mapping of source column to group field, such as {'phone': 'mobile'}"
    if not isinstance(value, Mapping):
        raise _wrong("column_map", value, wanted)
    read: dict[str, str] = {}
    for column, target in value.items():
        if not isinstance(column, str) or not isinstance(target, str) or not column.strip() or not target.strip():
            raise _wrong("column_map", value, wanted)
        if column.strip().lower() in read:
            raise AfilnetOptionError(
                f"Refresh option 'column_map' names column {column!r} twice (case does not count)."
            )
        read[column.strip().lower()] = target.strip()
    return read


def _nulls(value: object) -> Mapping[str, Nulls] | Nulls:
    if isinstance(value, Mapping):
        return {str(name).strip().lower(): _choice(f"nulls[{name!r}]", item, Nulls) for name, item in value.items()}
    chosen: Nulls = _choice("nulls", value, Nulls)
    return chosen


def _names(option: str, value: object) -> frozenset[str]:
    if value is None:
        return frozenset()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, (Sequence, set, frozenset)) or not all(isinstance(p, str) and p.strip() for p in parts):
        raise _wrong(option, value, "a list of field names, or names separated by commas")
    return frozenset(part.strip().lower() for part in parts)
