"""Links of a task to its group in the Afilnet panel and to its report.

A worker computes them at the end of each try, out of what the task knows and two settings, without a call to anybody;
Airflow keeps them as XCom, and the web server only reads that. A link that comes to nothing is an empty text, for which
no button is shown.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

from airflow.providers.common.compat.sdk import BaseOperatorLink

from airflow_provider_afilnet.api.calls import record_id
from airflow_provider_afilnet.api.errors import AfilnetError

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import BaseOperator, TaskInstanceKey

log = logging.getLogger(__name__)

_SECTION: Final = "afilnet"
_PANEL: Final = "panel_url_template"
_REPORTS: Final = "report_url_templates"


class AfilnetGroupLink(BaseOperatorLink):
    """The task's group in the Afilnet panel.

    The panel's addresses are not documented, so there is no link without ``[afilnet] panel_url_template``: an
    ``http(s)`` address, in which ``{group_id}`` becomes the group's id.
    """

    name = "Afilnet group"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or an empty text.

        :param operator: the operator as it ran.
        """
        from airflow.providers.common.compat.sdk import conf

        template = conf.get(_SECTION, _PANEL, fallback="") or ""
        try:
            group_id = record_id(getattr(operator, "group_id", None), "group_id")
        except AfilnetError:
            return ""  # the task ended before it had one
        return _web_address(template.replace("{group_id}", quote(group_id, safe="")), _PANEL)


class AfilnetReportLink(BaseOperatorLink):
    """The folder of the task's report.

    A folder at an ``http(s)`` address is its own link, less a user, a password and a query in it. Browsers open no
    ``file://`` and no ``s3://``, so any other has a link only where ``[afilnet] report_url_templates`` says how: JSON
    that maps the beginning of a path to an address, in which ``{path}`` becomes the rest of the path. The longest
    beginning wins.
    """

    name = "Afilnet report"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """The address, or an empty text.

        :param operator: the operator as it ran.
        """
        from airflow.providers.common.compat.sdk import conf

        folder = getattr(operator, "report_folder", None)
        if not folder:
            return ""
        try:
            templates = conf.getjson(_SECTION, _REPORTS, fallback={})
        except Exception as error:  # noqa: BLE001 - a setting that cannot be read costs a link, no more
            log.warning("[%s] %s is not JSON (%s).", _SECTION, _REPORTS, type(error).__name__)
            templates = {}
        return _report_address(_plain(str(folder)), templates)


def _plain(folder: str) -> str:
    """The folder without user, password and query; a local one without ``file://``; always with a slash at its end."""
    parts = urlsplit(folder)
    if parts.scheme in ("", "file", "local"):
        folder = parts.path if parts.scheme else folder
    else:
        folder = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment=""))
    return folder.rstrip("/") + "/"


def _report_address(folder: str, templates: Any) -> str:
    if not isinstance(templates, Mapping):
        log.warning("[%s] %s must be a JSON object of path to address.", _SECTION, _REPORTS)
        templates = {}
    found = [
        (len(start), str(template).replace("{path}", quote(folder[len(start.rstrip("/")) + 1 :])))
        for start, template in templates.items()
        if folder.startswith(start.rstrip("/") + "/")
    ]
    if found:
        return _web_address(max(found)[1], _REPORTS)
    return folder if urlsplit(folder).scheme in ("http", "https") else ""


def _web_address(address: str, setting: str) -> str:
    """The address if it is one that a browser opens."""
    if address and urlsplit(address).scheme not in ("http", "https"):
        log.warning("[%s] %s must give an address that begins with http:// or https://.", _SECTION, setting)
        return ""
    return address
