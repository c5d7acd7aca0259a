"""Read the parameters of a call out of an address or a body, whatever a client put there."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qsl

FORM: Final = "application/x-www-form-urlencoded"
MULTIPART: Final = "multipart/form-data"

_BOUNDARY = re.compile(r';\s*boundary=(?:"([^"]+)"|([^\s;"]+))', re.IGNORECASE)
_NAME = re.compile(rb';\s*name=(?:"([^"]*)"|([^\s;"]+))', re.IGNORECASE)


def pairs(text: bytes) -> dict[str, str]:
    """The parameters of a query string or of a form in that notation; of a repeated one the last, as PHP does."""
    return dict(parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True))


def posted(content_type: str, body: bytes) -> dict[str, str]:
    """The parameters in a body of this content type; none where it is no form, or a broken one."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == FORM:
        return pairs(body)
    boundary = _BOUNDARY.search(content_type) if kind == MULTIPART else None
    if boundary is None:
        return {}
    # The standard library's parser is made for mail: slow with megabytes, and not made for hostile ones.
    mark = b"\r\n--" + (boundary[1] or boundary[2]).encode("latin-1", "replace")
    params: dict[str, str] = {}
    for part in (b"\r\n" + body).split(mark)[1:]:
        head, blank, value = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if blank and name:
            params[(name[1] or name[2] or b"").decode("utf-8", "replace")] = value.decode("utf-8", "replace")
    return params
