"""The id of a created group, kept in an Airflow Variable so that nobody creates the group twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from airflow.providers.common.compat.sdk import AirflowFailException, Variable

from airflow_provider_afilnet.api.calls import record_id
from airflow_provider_afilnet.api.errors import AfilnetError, AfilnetOutcomeUnknownError
from airflow_provider_afilnet.hooks.leftovers import given_text

if TYPE_CHECKING:
    from airflow_provider_afilnet.hooks.afilnet import AfilnetHook

_PENDING: Final = "pending:"


class RememberedGroup:
    """What one Variable says about a group: nothing, its id, or that a creation began whose end nobody saw.

    :param variable: the Variable's name.
    :param hook: asked whether a remembered group still answers.
    :raises AfilnetInvalidRequestError: if the name is what a template leaves where it finds no value.
    """

    def __init__(self, variable: str, hook: AfilnetHook) -> None:
        self.variable = given_text(variable, "remember_as")
        self.hook = hook

    def recall(self) -> str | None:
        """The remembered id of a group that answers, or ``None`` if nothing is remembered.

        :raises AirflowFailException: if a creation is pending, or the remembered group no longer answers.
        """
        text = str(Variable.get(self.variable, default=None) or "").strip()
        if not text:
            return None
        if text.startswith(_PENDING):
            raise AirflowFailException(
                f"Variable {self.variable!r} says {text!r}: that run began to create the group, and whether it did is "
                "not known. Look in the Afilnet panel: if the group is there, set the Variable to its id; if not, "
                "delete the Variable. Then run this task again."
            )
        group_id = record_id(text, f"Variable {self.variable!r}")
        if not self.hook.group_exists(group_id):
            raise AirflowFailException(
                f"Variable {self.variable!r} remembers group {group_id}, which does not exist or is not accessible "
                "with this connection. Check the connection and the Afilnet panel: set the Variable to the right id, "
                "or delete it to have a new group created. Then run this task again."
            )
        return group_id

    def keep(self, run_id: str, create: Callable[[], str | None]) -> str | None:
        """Create the group between a pending mark and the id that replaces it.

        The mark goes again only if the creation was refused for certain. Whatever else ends it (an unclear answer, no
        id, a kill) leaves the mark, and it stops every later try.

        :param run_id: the DAG run, named in the mark.
        :param create: creates the group; returns its id, or ``None`` if none was answered.
        """
        self._write(_PENDING + run_id)
        try:
            group_id = create()
        except AfilnetOutcomeUnknownError:
            raise
        except AfilnetError:
            Variable.delete(self.variable)
            raise
        if group_id is not None:
            try:
                self._write(group_id)
            except Exception as error:
                raise AirflowFailException(
                    f"Group {group_id} was created, but Variable {self.variable!r} could not be written "
                    f"({type(error).__name__}): set it to {group_id} yourself, then run this task again."
                ) from error
        return group_id

    def advice(self, name: str) -> str:
        """What a user has to do after a creation of unknown outcome."""
        return (
            f"look in the Afilnet panel for a group named {name!r}; if it is there, set Variable {self.variable!r} to "
            "its id, if not, delete the Variable, and then run this task again"
        )

    def _write(self, value: str) -> None:
        Variable.set(self.variable, value, description="Afilnet group, kept by AfilnetCreateGroupOperator")
