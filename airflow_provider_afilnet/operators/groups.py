"""One operator for each documented method about groups."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_afilnet.api.errors import (
    AfilnetAccessError,
    AfilnetConfigurationError,
    AfilnetInvalidRequestError,
    AfilnetOutcomeUnknownError,
)
from airflow_provider_afilnet.api.settings import read_bool
from airflow_provider_afilnet.hooks.afilnet import names_no_group, read_field
from airflow_provider_afilnet.operators.base import AfilnetBaseOperator
from airflow_provider_afilnet.operators.remembered_group import RememberedGroup

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


class AfilnetCreateGroupOperator(AfilnetBaseOperator):
    """Create a contact group with ``creategroup`` and return its id.

    The API cannot list groups, and a repeated call makes a second group. So with ``remember_as`` the id is kept in an
    Airflow Variable: while that is set and the group answers, its id is returned and nothing is created. Before the
    call ``pending:<run id>`` is written to the Variable; whoever finds that mark, or an id that no longer answers,
    fails with a message that says what to check, and creates nothing.

    A retry is safe: a lost or unclear answer ends the task without retries; only a call that certainly created nothing
    (no connection, HTTP 429) is tried again, and it takes its mark away first. A task that is told to end during the
    call, or that its ``execution_timeout`` ends, ends without retries, unless ``remember_as`` tells the next try. A
    worker that dies during the call is another matter: Airflow retries, so set ``remember_as``, or ``retries=0``.

    :param name: the group's name.
    :param group_type: ``mobile`` or ``email``; also the name of the key field.
    :param fields: columns, as a list or as text with commas; the key field must be among them.
    :param remember_as: name of the Airflow Variable that keeps the id; ``None`` keeps nothing.
    :param require_id: fail if the service does not answer the new id; with false the task returns ``None`` then.
        ``remember_as`` needs true.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "name", "group_type", "fields", "remember_as", "require_id")

    def __init__(
        self,
        *,
        name: str,
        group_type: str,
        fields: str | Sequence[str],
        remember_as: str | None = None,
        require_id: bool | str = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.group_type = group_type
        self.fields = fields
        self.remember_as = remember_as
        self.require_id = require_id
        self.group_id: str | None = None  # once it is known: for the task's link
        self._remember_given("remember_as")

    def may_repeat(self) -> bool:
        return self.remember_as is not None

    def work(self, context: Context) -> str | None:
        require_id = read_bool(self.require_id, "require_id")
        self._check_not_lost("remember_as", AfilnetInvalidRequestError, "every run would create a group")
        memory = None if self.remember_as is None else RememberedGroup(self.remember_as, self.hook)
        if memory is not None and not require_id:
            raise AfilnetInvalidRequestError(
                "remember_as keeps the new group's id, so it needs require_id=True; set that, or leave remember_as out."
            )
        if require_id and self.hook.settings.facts.creategroup_returns_id is False:
            raise AfilnetConfigurationError(
                "The connection's api_facts say that creategroup answers no id, and require_id is true: create the "
                "group in the Afilnet panel and use its id, or set require_id=False."
            )
        if memory is None:
            group_id = self._create(f"look in the Afilnet panel for a group named {self.name!r} before you try again")
        elif group_id := memory.recall():
            self.log.info(
                "Variable %r remembers group %s, which answers: nothing is created.", self.remember_as, group_id
            )
            self.group_id = group_id
            return group_id
        else:
            group_id = memory.keep(context["run_id"], lambda: self._create(memory.advice(self.name)))
        if group_id is None and require_id:
            what_now = memory.advice(self.name) if memory else "look up its id in the Afilnet panel"
            raise AirflowFailException(
                f"The group {self.name!r} was created, but the service did not answer its id: {what_now}. "
                "With require_id=False the task would succeed without an id."
            )
        self.log.info("Created group %s.", group_id or "of unknown id")
        self.group_id = group_id
        return group_id

    def _create(self, advice: str) -> str | None:
        try:
            return self.hook.create_group(self.name, self.group_type, self.fields)
        except AfilnetOutcomeUnknownError as error:
            raise error.saying(
                f"{error} Nothing is repeated, since that could make a second group: {advice}."
            ) from error


class AfilnetGetGroupColumnsOperator(AfilnetBaseOperator):
    """Return the names of a group's columns, with ``getgroupcolumns``. A retry only reads again.

    :param group_id: the group.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id")

    def __init__(self, *, group_id: str | int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id

    def work(self, context: Context) -> list[str]:
        return self.hook.get_group_columns(self.group_id)


class AfilnetAddGroupColumnOperator(AfilnetBaseOperator):
    """Add a column to a group with ``addcolumntogroup``, unless it is there already.

    A retry is safe, also after a lost answer: the columns are looked at first.

    :param group_id: the group.
    :param field: the column's name; compared with those of the group without case.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "field")

    def __init__(self, *, group_id: str | int, field: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.field = field

    def work(self, context: Context) -> None:
        field = read_field(self.field)
        columns = self.hook.get_group_columns(self.group_id)
        if field.lower() in (column.lower() for column in columns):
            self.log.info("Group %s has column %r already.", self.group_id, field)
            return
        try:
            self.hook.add_column_to_group(self.group_id, field)
        except AfilnetOutcomeUnknownError as error:
            # The call alone must not be repeated blindly; this task may be, because it looks first.
            error.retryable = True
            raise


class AfilnetDeleteGroupColumnOperator(AfilnetBaseOperator):
    """Delete a column of a group, and its values, with ``deletecolumnfromgroup``. A retry sends it again.

    :param group_id: the group.
    :param field: the column's name.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "field")

    def __init__(self, *, group_id: str | int, field: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.field = field

    def work(self, context: Context) -> None:
        self.hook.delete_column_from_group(self.group_id, self.field)


class AfilnetDeleteGroupOperator(AfilnetBaseOperator):
    """Delete a group and all its contacts with ``deletegroup``.

    A retry sends it again; if the first try did work and its answer was lost, the group is missing then, so set
    ``ignore_missing`` where the task has retries.

    :param group_id: the group.
    :param ignore_missing: succeed if there is no such group, or this account has no access to it (the API does not
        tell the two apart). A group whose deletion was refused and that still answers is an error all the same.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "ignore_missing")

    def __init__(self, *, group_id: str | int, ignore_missing: bool | str = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.ignore_missing = ignore_missing

    def work(self, context: Context) -> None:
        ignore_missing = read_bool(self.ignore_missing, "ignore_missing")
        try:
            self.hook.delete_group(self.group_id)
        except AfilnetAccessError as error:
            if not names_no_group(error) or self.hook.group_exists(self.group_id):
                raise
            if not ignore_missing:
                raise error.saying(
                    f"{error} If the answer to an earlier try was lost, that try may have deleted it. Use "
                    "ignore_missing=True to accept that."
                ) from error
            self.log.info("Group %s is not there: nothing to delete.", self.group_id)


class AfilnetAssignCountryOperator(AfilnetBaseOperator):
    """Set a group's country with ``assigncountrytogroup``. A retry sends it again.

    :param group_id: the group.
    :param country: ISO 3166 alpha-3 (``ESP``) or alpha-2 (``ES``) code, or the English name (``Spain``), in any case.
    """

    template_fields: Sequence[str] = ("afilnet_conn_id", "group_id", "country")

    def __init__(self, *, group_id: str | int, country: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.group_id = group_id
        self.country = country

    def work(self, context: Context) -> None:
        self.hook.assign_country_to_group(self.group_id, self.country)
