"""The hook: the API floor's client, set up from an Airflow connection."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from airflow.providers.common.compat.sdk import AirflowNotFoundException, BaseHook, mask_secret

from airflow_provider_afilnet.api.answers import read_balance, read_bulk, read_columns, read_contact, read_new_id
from airflow_provider_afilnet.api.calls import Contact, contact_text, contacts_json, record_id
from airflow_provider_afilnet.api.errors import (
    AfilnetAccessError,
    AfilnetConfigurationError,
    AfilnetError,
    AfilnetInvalidRequestError,
    AfilnetNotFoundError,
    AfilnetUnreadableAnswerError,
)
from airflow_provider_afilnet.api.methods import GROUP_TYPES
from airflow_provider_afilnet.api.settings import ClientSettings, read_settings
from airflow_provider_afilnet.hooks.countries import country_code
from airflow_provider_afilnet.hooks.leftovers import given_text, is_leftover

if TYPE_CHECKING:
    import requests
    from airflow.providers.common.compat.sdk import Connection

    from airflow_provider_afilnet.api.client import AfilnetClient


class AfilnetHook(BaseHook):
    """Call the Afilnet Contacts API with an Airflow connection of type ``afilnet``.

    Each documented method of the API is a method here. Group and contact ids are text; whole numbers are accepted.
    A contact is a ``dict`` of field name to text. Every call either returns or raises one typed
    :class:`~airflow_provider_afilnet.exceptions.AfilnetError`, and nothing is sent twice.

    The hook keeps one HTTP session; use it as a context manager, or :meth:`close` it, to give the session back.

    :param afilnet_conn_id: id of the Airflow connection.
    """

    conn_name_attr = "afilnet_conn_id"
    default_conn_name = "afilnet_default"
    conn_type = "afilnet"
    hook_name = "Afilnet"

    def __init__(self, afilnet_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.afilnet_conn_id = afilnet_conn_id

    @cached_property
    def settings(self) -> ClientSettings:
        """The connection, read strictly.

        :raises AfilnetConfigurationError: naming the connection, the field and the way out.
        """
        connection = self.get_connection(self.afilnet_conn_id)
        settings = settings_of(connection)
        # Airflow masks the password on its own, and an extra only as a whole: this masks the secrets inside it.
        mask_secret(extra_of(connection))
        return settings

    @cached_property
    def client(self) -> AfilnetClient:
        """The API floor's synchronous client."""
        # Imported here, because a DAG file that only names operators makes no call.
        from airflow_provider_afilnet.api.client import AfilnetClient

        return AfilnetClient(self.settings)

    def get_conn(self) -> requests.Session:
        """The ``requests`` session of the hook: no redirects, no cookies, no repeats. It holds no credentials."""
        return self.client.session()

    def close(self) -> None:
        """Close the session's connections; the next call opens a new session."""
        if "client" in self.__dict__:
            self.client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def call(self, method: str, **params: object) -> Any:
        """Make one call of any method of the API.

        :param method: its name, such as ``getgroupcolumns``.
        :param params: its parameters, text or whole numbers; user, password and class are added.
        :return: what the answer has under ``result``; ``None`` if absent or null.
        """
        return self.client.call(method, **params)

    # --- groups ------------------------------------------------------------------------------------------------------

    def create_group(self, name: str, group_type: str, fields: str | Sequence[str]) -> str | None:
        """Create a group. Sending it twice makes two groups, so it must not be repeated blindly.

        :param name: the group's name.
        :param group_type: ``mobile`` or ``email``; also the name of the key field.
        :param fields: columns, as a list or as text with commas; the key field must be among them.
        :return: the new group's id, or ``None`` if the service did not answer one.
        """
        if group_type not in GROUP_TYPES:
            raise AfilnetInvalidRequestError(f"group_type must be 'mobile' or 'email', not {group_type!r}.")
        group_name = given_text(name, "name")
        columns = read_fields(fields)
        if group_type not in columns:
            raise AfilnetInvalidRequestError(
                f"fields must hold {group_type!r}, the key field of a group of this type; they hold: "
                f"{', '.join(columns)}."
            )
        result = self.call("creategroup", name=group_name, type=group_type, fields=",".join(columns))
        return read_new_id(result, "idgroup")

    def get_group_columns(self, group_id: str | int) -> list[str]:
        """The names of a group's columns, in the service's order."""
        return read_columns(self.call("getgroupcolumns", idgroup=_group(group_id)))

    def group_exists(self, group_id: str | int) -> bool:
        """Whether the group exists and this account has access to it; the API does not tell the two apart."""
        try:
            self.call("getgroupcolumns", idgroup=_group(group_id))
        except AfilnetAccessError as error:
            if names_no_group(error):
                return False
            raise
        return True

    def add_column_to_group(self, group_id: str | int, field: str) -> None:
        """Add a column. What the service does with one that is there already is unknown: look first."""
        self.call("addcolumntogroup", idgroup=_group(group_id), field=read_field(field))

    def delete_column_from_group(self, group_id: str | int, field: str) -> None:
        """Delete a column and its values."""
        self.call("deletecolumnfromgroup", idgroup=_group(group_id), field=read_field(field))

    def delete_group(self, group_id: str | int) -> None:
        """Delete a group and its contacts."""
        self.call("deletegroup", idgroup=_group(group_id))

    def assign_country_to_group(self, group_id: str | int, country: str) -> None:
        """Set a group's country.

        :param country: ISO 3166 alpha-3 or alpha-2 code, or the English name; sent as alpha-3 in lower case.
        """
        self.call("assigncountrytogroup", idgroup=_group(group_id), countryiso3=country_code(country))

    # --- contacts ----------------------------------------------------------------------------------------------------

    def iter_contacts(self, group_id: str | int) -> Iterator[dict[str, str]]:
        """Stream the contacts of a group in constant memory: the fields, and the id under ``idcontact``.

        Only an iteration that ends without an error has read the whole group.

        :raises AfilnetUnprovenReadError: at the end, if the service answered null, which proves nothing.
        """
        for record in self.client.contacts(_group(group_id)):
            yield record.as_dict()

    def get_contacts(self, group_id: str | int) -> list[dict[str, str]]:
        """The contacts of a group: the fields, and the id under ``idcontact``.

        :raises AfilnetUnprovenReadError: if the service answered null, which may mean an empty group and does not
            prove one.
        """
        return list(self.iter_contacts(group_id))

    def get_contact(self, group_id: str | int, contact_id: str | int) -> dict[str, str]:
        """One contact: its fields, and the id under ``idcontact``.

        :raises AfilnetNotFoundError: if the group has no such contact.
        """
        group, contact = _group(group_id), _contact(contact_id)
        with self._missing_contact_told("getcontact", group, contact):
            result = self.call("getcontact", idgroup=group, idcontact=contact)
        return {"idcontact": contact, **read_contact(result, contact).as_dict()}

    def add_contact(self, group_id: str | int, contact: Contact) -> str | None:
        """Add one contact.

        :param contact: field name to text; neither may hold a comma or a colon.
        :return: the new contact's id, or ``None`` if the service did not answer one.
        :raises AfilnetExistsError: if a contact with this key is there already.
        """
        text = contact_text(contact, method="addcontact")
        return read_new_id(self.call("addcontact", idgroup=_group(group_id), contact=text), "idcontact")

    def add_contact_list(self, group_id: str | int, contacts: Iterable[Contact]) -> dict[str, int]:
        """Add contacts in one call. What becomes of those that are there already is unknown.

        :param contacts: each field name to text; any character may be used.
        :return: counts: ``sent``, and whatever the service reported.
        """
        listed = list(contacts)
        result = self.call("addcontactlist", idgroup=_group(group_id), contacts=contacts_json(listed))
        return {**read_bulk(result).counts, "sent": len(listed)}

    def modify_contact(self, group_id: str | int, contact_id: str | int, contact: Contact) -> None:
        """Change one contact. Whether fields that are not sent keep their value is unknown: send all of them.

        :param contact: field name to text; neither may hold a comma or a colon.
        :raises AfilnetNotFoundError: if the group has no such contact.
        """
        text = contact_text(contact, method="modifycontact")
        group, contact_text_id = _group(group_id), _contact(contact_id)
        with self._missing_contact_told("modifycontact", group, contact_text_id):
            self.call("modifycontact", idgroup=group, idcontact=contact_text_id, contact=text)

    def delete_contact(self, group_id: str | int, contact_id: str | int) -> None:
        """Delete one contact.

        :raises AfilnetNotFoundError: if the group has no such contact.
        """
        group, contact = _group(group_id), _contact(contact_id)
        with self._missing_contact_told("deletecontact", group, contact):
            self.call("deletecontact", idgroup=group, idcontact=contact)

    @contextmanager
    def _missing_contact_told(self, method: str, group_id: str, contact_id: str) -> Iterator[None]:
        """Tell a missing contact from a missing group: the service may say NOT_ACCESS_TO_GROUP for either."""
        try:
            yield
        except AfilnetAccessError as error:
            if not names_no_group(error) or not self.group_exists(group_id):
                raise
            raise AfilnetNotFoundError(
                f"{method} was refused with {error.code}, but group {group_id} answers: contact {contact_id} is not in "
                "it.",
                code=error.code,
                method=method,
                http_status=error.http_status,
            ) from error

    # --- account -----------------------------------------------------------------------------------------------------

    def get_balance(self) -> float:
        """The account's balance in credits."""
        return read_balance(self.call("getbalance"))

    def test_connection(self) -> tuple[bool, str]:
        """Sign in and read the balance, which changes nothing.

        :return: whether it worked, and one sentence for the reader. Nothing is raised.
        """
        try:
            result = self.call("getbalance")
            signed_in = f"Signed in at {self.settings.origin}"
            try:
                balance = read_balance(result)
            except AfilnetUnreadableAnswerError:
                # Whoever may read the balance is signed in, whatever the balance looks like.
                return True, f"{signed_in}; the balance could not be read."
        except (AfilnetError, AirflowNotFoundException) as error:
            return False, str(error)
        except Exception as error:  # noqa: BLE001 - the caller is a form that must get a sentence, whatever happens
            return False, f"The connection could not be tested: {type(error).__name__}."
        return True, f"{signed_in}; the account has {balance:g} credits."


def settings_of(connection: Connection) -> ClientSettings:
    """Read a connection strictly. Hook and triggers both use this, so that they cannot differ.

    :raises AfilnetConfigurationError: naming the connection, the field and the way out.
    """
    return read_settings(
        host=connection.host,
        schema=connection.schema,
        port=connection.port,
        login=connection.login,
        password=connection.password,
        extra=extra_of(connection),
        name=_name_of(connection),
    )


def extra_of(connection: Connection) -> dict[str, Any]:
    """The extras of a connection; unlike ``extra_dejson`` it refuses what is not a JSON object, with a sentence."""
    text = connection.extra
    if not text or not text.strip():
        return {}
    try:
        extra = json.loads(text)
    except (ValueError, RecursionError):
        extra = None
    if not isinstance(extra, dict):
        raise AfilnetConfigurationError(
            f'{_name_of(connection)}: the extra must be a JSON object such as {{"timeout": 60}}; correct it, or leave '
            "it empty."
        )
    return extra


def _name_of(connection: Connection) -> str:
    return f"Connection {connection.conn_id!r}"


def names_no_group(error: AfilnetError) -> bool:
    """Whether the error says that there is no such group for this account, rather than that access was refused."""
    return isinstance(error, AfilnetAccessError) and error.code == "NOT_ACCESS_TO_GROUP"


def read_fields(fields: str | Sequence[str]) -> list[str]:
    """Read column names, given as a list or as text with commas.

    :raises AfilnetInvalidRequestError: if there are none, one is named twice (in any case), or one is no name for a
        column, as :func:`read_field` says.
    """
    if isinstance(fields, str):
        given: Any = [] if is_leftover(fields) else fields.split(",")
    else:
        given = fields
    if isinstance(given, (bytes, Mapping)) or not isinstance(given, Iterable):
        raise AfilnetInvalidRequestError(
            f"fields must be a list of names or text such as 'mobile,name', not {type(fields).__name__}."
        )
    names = [read_field(name, "a name in fields") for name in given]
    if not names:
        raise AfilnetInvalidRequestError("fields is empty; give at least the key field, 'mobile' or 'email'.")
    lowered = [name.lower() for name in names]
    twice = next((name for name in names if lowered.count(name.lower()) > 1), None)
    if twice is not None:
        raise AfilnetInvalidRequestError(f"The field {twice!r} is named twice; name each column once.")
    return names


def read_field(field: object, argument: str = "field") -> str:
    """Read the name of one column.

    :param argument: what it was given as, for the error.
    :raises AfilnetInvalidRequestError: if it is no text or blank, what a template leaves without a value, holds a comma
        or a colon, or is ``idcontact``, under which contacts carry their id.
    """
    name = given_text(field, argument)
    for ch, word in ((",", "comma"), (":", "colon")):
        if ch in name:
            raise AfilnetInvalidRequestError(
                f"The field name {name!r} holds a {word}, which the API uses between or inside fields; choose another "
                "name."
            )
    if name.lower() == "idcontact":
        raise AfilnetInvalidRequestError(
            f"The field name {name!r} is reserved: contacts carry their id under it; choose another name."
        )
    return name


def _group(group_id: object) -> str:
    return record_id(group_id, "group_id")


def _contact(contact_id: object) -> str:
    return record_id(contact_id, "contact_id")
