"""Errors of databases, told without what people's rows or the query hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol, TypeVar

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_afilnet.api.errors import AfilnetError
from airflow_provider_afilnet.api.masking import mask_text
from airflow_provider_afilnet.refresh.errors import AfilnetSourceError

T = TypeVar("T")
C = TypeVar("C", bound="Closable")

# What drivers quote after these is a value: 'invalid input syntax for type date: "…"', "Incorrect value '…'",
# "Could not decode to UTF-8 column 'name' with text '…'", 'time zone "…" not recognized'.
_QUOTED_VALUE: Final = re.compile(r"((?::|\bvalue|\bentry|\bwith text|\btime zone)\s*)([\"'])(?:.*\2|.*$)")


class Closable(Protocol):
    """Anything with ``close``."""

    def close(self) -> Any: ...


def asked(work: Callable[..., T], *args: Any) -> T:
    """Call ``work``, which asks a database, and tell its error in words that hold no values.

    :raises AfilnetSourceError: for any error of the driver or of SQLAlchemy. It has neither cause nor context, so that
        a traceback in a log shows nothing else.
    """
    try:
        return work(*args)
    except (AfilnetError, AirflowException):
        raise
    except Exception as error:  # noqa: BLE001 - drivers share no root
        told = _told(error)
    # Outside of the handler, so that the driver's error is not its context.
    raise told


@contextmanager
def closed_quietly(thing: C) -> Iterator[C]:
    """Close ``thing`` at the end. An error of that is dropped: what was to be read is read, or has failed already."""
    try:
        yield thing
    finally:
        with suppress(Exception):
            thing.close()


def _told(error: Exception) -> AfilnetSourceError:
    # SQLAlchemy adds the query and a link to the driver's error, which it keeps.
    original = getattr(error, "orig", None) or error
    state = getattr(original, "sqlstate", None) or getattr(original, "pgcode", None)
    text = str(original) if original is not error or not hasattr(error, "statement") else str(error.args[0])
    first = next((line.strip() for line in text.splitlines() if line.strip()), "no message")
    said = mask_text(_QUOTED_VALUE.sub(r"\1***", first))
    code = f" (SQLSTATE {state})" if isinstance(state, str) and re.fullmatch(r"\w{5}", state) else ""
    return AfilnetSourceError(f"The database failed: {type(original).__name__}{code}: {said}", retryable=True)
