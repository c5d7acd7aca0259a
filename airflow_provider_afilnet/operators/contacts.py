"""One operator for each documented method about contacts, and one that makes a group follow a list."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

from airflow_provider_afilnet.api.errors import (
    AfilnetConfigurationError,
    AfilnetExistsError,
    AfilnetInvalidRequestError,
    AfilnetNotFoundError,
    AfilnetOutcomeUnknownError,
    AfilnetUnreadableAnswerError,
)
from airflow_provider_afilnet.api.settings import read_bool
from airflow_provider_afilnet.operators.base import AfilnetBaseOperator
from airflow_provider_afilnet.operators.listed import is_listed
from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator
from airflow_provider_afilnet.operators.storage import storage_path

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, ObjectStoragePath

    from airflow_provider_afilnet.refresh.rows import RowSource

IfExists = Literal["fail", "skip", "update"]


class AfilnetGetContactsOperator(AfilnetBaseOperator):
    """Read the contacts of a group with ``getcontacts``. A retry reads again and writes the file anew.

    Without ``output_path`` the whole list, which is personal data, goes to XCom, that is into Airflow's database: good
    for a few contacts only. With it the contacts are streamed in constant memory, over whatever file is there; a read
    that fails leaves the path as it was, and a copy that fails leaves no file.

    If the service answers null, which may mean an empty group and does not prove one, the task fails, and leaves the
    path as it was.

    Returns a list of contacts (their fields, and their id under ``idcontact``), or with ``output_path``
    ``{"path": …, "count": …}``.

    :param group_id: the group.
    :param output_path: any path that Airflow's ``ObjectStoragePath`` takes. Its ending chooses the format: ``.jsonl``,
        ``.csv`` or ``.parquet`` (needs pyarrow). In CSV and Parquet all columns are text, ``idcontact`` first. A
        folder that does not exist is made. A path that has no value at run time is refused.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "output_path")

    def __init__(
        self, *, group_id: str | int, output_path: str | ObjectStoragePath | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.output_path = output_path
        self._remember_given("output_path")

    def work(self, context: Context) -> list[dict[str, str]] | dict[str, Any]:
        self._check_not_lost("output_path", AfilnetConfigurationError, "the whole list would go to XCom")
        if self.output_path is None:
            return self.hook.get_contacts(self.group_id)
        from airflow_provider_afilnet.operators.contact_export import export, writer_for

        path = storage_path(self.output_path, "output_path")
        write = writer_for(path)
        columns = self.hook.get_group_columns(self.group_id)
        count = export(path, write, columns, self.hook.iter_contacts(self.group_id))
        self.log.info("Wrote %d contacts of group %s to %s.", count, self.group_id, path)
        return {"path": str(path), "count": count}


class AfilnetGetContactOperator(AfilnetBaseOperator):
    """Return one contact, with ``getcontact``: its fields, and its id under ``idcontact``. A retry only reads again.

    The contact is personal data, and goes to XCom.

    :param group_id: the group.
    :param contact_id: the contact.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "contact_id")

    def __init__(self, *, group_id: str | int, contact_id: str | int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.contact_id = contact_id

    def work(self, context: Context) -> dict[str, str]:
        return self.hook.get_contact(self.group_id, self.contact_id)


class AfilnetAddContactOperator(AfilnetBaseOperator):
    """Add one contact with ``addcontact``, and return its id if it is known.

    The contact shows among the task's rendered fields. A retry after a lost answer finds a contact that is there
    already, if the first try did work: with ``if_exists="fail"`` it fails then, with the others it is green.

    :param group_id: the group.
    :param contact: field name to text, the key field included. Neither may hold a comma or a colon.
    :param if_exists: what to do if a contact with this key is there: ``fail``; ``skip``, leave it as it is; ``update``,
        read the group, find that contact (phones by their digits, e-mails without case) and send it with
        ``modifycontact``, the stored values under the new ones. A contact with both mobile and email changes
        nobody whose other one differs.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "contact", "if_exists")
    template_fields_renderers: ClassVar[dict[str, str]] = {"contact": "json"}

    def __init__(
        self, *, group_id: str | int, contact: Mapping[str, str], if_exists: IfExists = "fail", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.contact = contact
        self.if_exists = if_exists

    def work(self, context: Context) -> str | None:
        if self.if_exists not in get_args(IfExists):
            raise AfilnetInvalidRequestError(
                f"if_exists must be one of {', '.join(map(repr, get_args(IfExists)))}, not {self.if_exists!r}."
            )
        contact = _one(self.contact)
        try:
            return self.hook.add_contact(self.group_id, contact)
        except AfilnetExistsError as error:
            if self.if_exists == "update":
                return self._update(contact)
            if self.if_exists == "skip":
                self.log.info("The contact is in group %s already: left as it is.", self.group_id)
                return None
            raise error.saying(
                f"{error} If the answer to an earlier try was lost, that try may have added it. Use if_exists='skip' "
                "or 'update' to accept it."
            ) from error

    def _update(self, contact: Mapping[str, str]) -> str:
        from airflow_provider_afilnet.operators.contact_match import ID, find_holder, merged, same_key

        holder = find_holder(contact, self.hook.iter_contacts(self.group_id))
        # An id might be a position in the list, and then this would change somebody else.
        if not same_key(contact, self.hook.get_contact(self.group_id, holder[ID])):
            raise AfilnetUnreadableAnswerError(
                "getcontact answered another contact than getcontacts under the same id, so the ids cannot be trusted "
                "and nothing was changed; please report this at the project's issue tracker.",
                method="getcontact",
            )
        self.hook.modify_contact(self.group_id, holder[ID], merged(holder, contact))
        self.log.info("The contact was in group %s already: changed.", self.group_id)
        return holder[ID]


class AfilnetAddContactListOperator(AfilnetBaseOperator):
    """Send contacts in one call of ``addcontactlist``, and return counts: ``sent``, and what the service reported.

    It is the plain method: what becomes of contacts that are there already is unknown, and nothing is read back. To
    make a group follow a list use :class:`AfilnetUpsertContactsOperator`. The contacts show among the task's rendered
    fields. An unclear answer, being told to end during the call, or the ``execution_timeout`` ends the task without
    retries, since a repeat could add everybody twice. If a worker dies during the call Airflow retries: set
    ``retries=0`` against that.

    :param group_id: the group.
    :param contacts: each a mapping of field name to text; any character may be used. A call has a largest size that is
        not documented.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "contacts")
    template_fields_renderers: ClassVar[dict[str, str]] = {"contacts": "json"}

    def __init__(self, *, group_id: str | int, contacts: Sequence[Mapping[str, str]], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.contacts = contacts

    def may_repeat(self) -> bool:
        return False

    def work(self, context: Context) -> dict[str, int]:
        try:
            return self.hook.add_contact_list(self.group_id, _several(self.contacts))
        except AfilnetOutcomeUnknownError as error:
            raise error.saying(
                f"{error} Nothing is repeated, since that could add everybody twice: look at the group in the Afilnet "
                "panel before you try again, or use AfilnetUpsertContactsOperator, which adds only who is missing."
            ) from error


class AfilnetModifyContactOperator(AfilnetBaseOperator):
    """Change one contact with ``modifycontact``. A retry sends it again.

    The contact shows among the task's rendered fields.

    :param group_id: the group.
    :param contact_id: the contact.
    :param contact: field name to text; neither may hold a comma or a colon. Send all fields: whether the others keep
        their values is unknown.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "contact_id", "contact")
    template_fields_renderers: ClassVar[dict[str, str]] = {"contact": "json"}

    def __init__(
        self, *, group_id: str | int, contact_id: str | int, contact: Mapping[str, str], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.contact_id = contact_id
        self.contact = contact

    def work(self, context: Context) -> None:
        self.hook.modify_contact(self.group_id, self.contact_id, _one(self.contact))


class AfilnetDeleteContactOperator(AfilnetBaseOperator):
    """Delete one contact with ``deletecontact``.

    A retry sends it again; if the first try did work and its answer was lost, the contact is missing then, so set
    ``ignore_missing`` where the task has retries.

    :param group_id: the group.
    :param contact_id: the contact.
    :param ignore_missing: succeed if the group has no such contact. A missing group is an error all the same.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "contact_id", "ignore_missing")

    def __init__(
        self, *, group_id: str | int, contact_id: str | int, ignore_missing: bool | str = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.contact_id = contact_id
        self.ignore_missing = ignore_missing

    def work(self, context: Context) -> None:
        ignore_missing = read_bool(self.ignore_missing, "ignore_missing")
        try:
            self.hook.delete_contact(self.group_id, self.contact_id)
        except AfilnetNotFoundError as error:
            # What is answered for a missing contact is not documented, so the contact itself is asked for.
            if self._is_there():
                raise
            if not ignore_missing:
                raise error.saying(
                    f"{error} If the answer to an earlier try was lost, that try may have deleted it. Use "
                    "ignore_missing=True to accept that."
                ) from error
            self.log.info("Contact %s is not in group %s: nothing to delete.", self.contact_id, self.group_id)

    def _is_there(self) -> bool:
        try:
            self.hook.get_contact(self.group_id, self.contact_id)
        except AfilnetNotFoundError:
            return False
        return True


class AfilnetUpsertContactsOperator(AfilnetRefreshOperator):
    """Make a group follow a list of contacts, or a file of them: see :class:`AfilnetRefreshOperator` for the options.

    A list shows among the task's rendered fields, and as an XCom it is in Airflow's database; a path does neither.

    :param contacts: a list of mappings of column to value; or a path ending in ``.jsonl`` (one JSON object a line) or
        ``.csv`` (names in the first line, all values text), in any case, on any storage that Airflow's
        ``ObjectStoragePath`` takes. Both kinds of file are UTF-8 and read as a stream. What a mapped task returned is a
        list too. ``idcontact`` is left out, unless ``column_map`` names it, so that what
        :class:`AfilnetGetContactsOperator` returned or wrote can be fed back.
    """

    template_fields: Sequence[str] = (*AfilnetRefreshOperator.template_fields, "contacts")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **AfilnetRefreshOperator.template_fields_renderers,
        "contacts": "json",
    }

    def __init__(
        self, *, contacts: Sequence[Mapping[str, Any]] | str | os.PathLike[str] | ObjectStoragePath, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.contacts = contacts

    def open_rows(self, context: Context) -> AbstractContextManager[RowSource]:
        from airflow_provider_afilnet.operators.contact_source import open_contacts

        return open_contacts(self.contacts, keep=self.column_map or ())

    def source_uris(self) -> list[str]:
        from airflow_provider_afilnet.hooks.lineage import path_uri

        return [] if is_listed(self.contacts) else [path_uri(self.contacts)]


def _one(contact: object) -> Mapping[str, str]:
    if not isinstance(contact, Mapping):
        raise AfilnetInvalidRequestError(
            "contact must be a mapping of field name to text, such as {'mobile': '34600000000'}, not "
            f"{type(contact).__name__}; a template that makes one needs render_template_as_native_obj=True on the DAG."
        )
    return contact


def _several(contacts: object) -> Sequence[Mapping[str, str]]:
    if not is_listed(contacts):
        raise AfilnetInvalidRequestError(
            f"contacts must be a list of mappings, not {type(contacts).__name__}; hand on another task's result as "
            "task.output, or set render_template_as_native_obj=True on the DAG."
        )
    return [_one(contact) for contact in contacts]
