"""Template fields that hold nothing to render: options that were left at their defaults.

While Airflow reads a DAG file it looks up one of its settings for every template field of every task, which costs more
than all else that an operator with thirty of them does there. A default is no template, so it is left out until the
task runs; then all fields are rendered, and shown, as for any other operator.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import BaseOperator

if TYPE_CHECKING:
    import jinja2
    from airflow.providers.common.compat.sdk import Context


class PlainFieldsOperator(BaseOperator):
    """Base of operators whose template fields are few until the task runs; see :meth:`_leave_out_defaults`."""

    _left_out: frozenset[str] = frozenset()

    def __setattr__(self, name: str, value: Any) -> None:
        # Whoever gives a value later may give a template, or another task's result.
        if name in self._left_out:
            self._want_all_fields()
        super().__setattr__(name, value)

    def render_template_fields(self, context: Context, jinja_env: jinja2.Environment | None = None) -> None:
        """Render every field that the class names."""
        self._want_all_fields()
        super().render_template_fields(context, jinja_env)

    def _leave_out_defaults(self, defaults: Mapping[str, Any]) -> None:
        """Take fields that hold their default out of this task's ``template_fields``.

        :param defaults: field to default: text, a number, true, false or ``None``.
        """
        fields: Sequence[str] = self.template_fields  # type: ignore[assignment]
        left_out = frozenset(
            name for name in fields if name in defaults and _is_same(getattr(self, name), defaults[name])
        )
        self.template_fields = tuple(name for name in fields if name not in left_out)
        self._left_out = self._left_out | left_out

    def _want_all_fields(self) -> None:
        self.__dict__.pop("template_fields", None)
        self.__dict__.pop("_left_out", None)


def _is_same(value: object, default: object) -> bool:
    # What compares in its own way, such as a column of a table, is of another type.
    return value is default or (type(value) is type(default) and value == default)
