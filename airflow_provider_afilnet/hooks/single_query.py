"""The check that a text is one statement, and that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from airflow_provider_afilnet.refresh.errors import AfilnetSourceError

if TYPE_CHECKING:
    from sqlparse.sql import Statement, Token

_READING: Final = ("SELECT", "WITH", "VALUES", "TABLE", "SHOW", "EXPLAIN", "PRAGMA", "DESCRIBE", "DESC")
_WRITING: Final = ("INSERT", "UPDATE", "DELETE", "MERGE")


def single_query(sql: object) -> str:
    """The one statement of ``sql``, without its semicolon.

    :raises AfilnetSourceError: if there is none, more than one, or one that does not only read.
    """
    import sqlparse

    if not isinstance(sql, str):
        raise AfilnetSourceError(
            f"sql must be the text of one query, or the name of a .sql file, not {type(sql).__name__}."
        )
    parts = [(text, sqlparse.parse(text)[0]) for text in sqlparse.split(sql, strip_semicolon=True) if text]
    # A comment after the last semicolon is no statement.
    statements = [part for part in parts if part[1].token_first(skip_cm=True) is not None]  # type: ignore[no-untyped-call]
    if not statements:
        raise AfilnetSourceError("sql has no statement; give one query.")
    if len(statements) > 1:
        raise AfilnetSourceError(
            f"sql has {len(statements)} statements, and only the rows of one would be read; give a single query (WITH "
            "can name its parts)."
        )
    ((statement, parsed),) = statements
    kind = _kind(parsed)
    if kind not in _READING:
        raise AfilnetSourceError(
            f"sql has {kind[:20]}, which is no query; a source only reads, because a retry runs it again. Give a "
            f"SELECT; {', '.join(_READING[1:-1])} are accepted too."
        )
    return statement


def _kind(parsed: Statement) -> str:
    """The word that says what the statement does."""
    words = [token for token in parsed.flatten() if not (token.is_whitespace or _is_comment(token))]  # type: ignore[no-untyped-call]
    first = next((token.normalized.upper() for token in words if token.value != "("), "(")
    if first in ("SELECT", "WITH", "EXPLAIN"):
        for before, token, after in zip(words, words[1:], [*words[2:], None], strict=False):
            writes = token.is_keyword and token.normalized.upper() in _WRITING
            # INSERT( is a function; FOR UPDATE only locks.
            if writes and (after is None or after.value != "(") and before.normalized.upper() not in _BEFORE_A_LOCK:
                return str(token.normalized.upper())
            if token.is_keyword and token.normalized.upper() == "INTO":
                return f"{first} INTO"
    return str(first)


_BEFORE_A_LOCK: Final = ("FOR", "KEY")


def _is_comment(token: Token) -> bool:
    from sqlparse.tokens import Comment

    return token.ttype in Comment
