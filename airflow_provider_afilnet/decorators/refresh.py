"""``@task.afilnet_refresh``: a function that gives rows, and a group that follows them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import (
    DecoratedOperator,
    context_merge,
    determine_kwargs,
    task_decorator_factory,
)

from airflow_provider_afilnet.airflow_versions import PushedByItself
from airflow_provider_afilnet.operators.refresh import AfilnetRefreshOperator

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context, TaskDecorator

    from airflow_provider_afilnet.refresh.rows import RowSource


class _AfilnetRefreshDecoratedOperator(PushedByItself, DecoratedOperator, AfilnetRefreshOperator):
    """A refresh whose rows a Python function gives: see :func:`afilnet_refresh_task`.

    :param python_callable: the function, called once in each try.
    :param op_args: its positional arguments (templated).
    :param op_kwargs: its keyword arguments (templated).
    """

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, *AfilnetRefreshOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        **AfilnetRefreshOperator.template_fields_renderers,
    }

    custom_operator_name: str = "@task.afilnet_refresh"

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if inspect.iscoroutinefunction(python_callable) or inspect.isasyncgenfunction(python_callable):
            raise TypeError(
                f"@task.afilnet_refresh takes a plain function or generator, and {python_callable.__name__!r} is async."
            )
        super().__init__(python_callable=python_callable, op_args=op_args, op_kwargs=op_kwargs, **kwargs)

    @contextmanager
    def open_rows(self, context: Context) -> Iterator[RowSource]:
        from airflow_provider_afilnet.refresh.row_files import drops_id
        from airflow_provider_afilnet.refresh.rows import DictRows

        context_merge(context, self.op_kwargs)
        given = self.python_callable(*self.op_args, **determine_kwargs(self.python_callable, self.op_args, context))
        try:
            yield DictRows(_rows(given, drops_id(self.column_map or ())))
        finally:
            if inspect.isgenerator(given):
                given.close()


def _rows(given: object, drop: bool) -> Iterator[Mapping[str, Any]]:
    from airflow_provider_afilnet.refresh.errors import AfilnetSourceError
    from airflow_provider_afilnet.refresh.row_files import without_id

    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise AfilnetSourceError(
            "The function of @task.afilnet_refresh must return a list of mappings of column to value, or yield them, "
            f"not return {type(given).__name__}."
        )
    for number, row in enumerate(given, 1):
        if not isinstance(row, Mapping):
            raise AfilnetSourceError(
                "The function of @task.afilnet_refresh must give mappings of column to value; row "
                f"{number} is {type(row).__name__}."
            )
        yield without_id(row, drop)


def afilnet_refresh_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Make a group follow the rows that a function gives; in a DAG file it is ``@task.afilnet_refresh(group_id=…)``.

    The function returns a list of mappings of column to value, or any iterator of them; a generator is read as a
    stream, in constant memory. The rows go nowhere but into the group (and, where they are rejected, the report): not
    to XCom, which gets the counts, and not among the rendered fields, where the function's arguments do show. An
    ``idcontact`` is left out, unless ``column_map`` names it.

    Nothing is written before the last row was given, so a function that raises changes nothing; its error goes to
    Airflow as it is. A retry calls the function again.

    :param python_callable: the function to decorate; plain, not async.
    :param kwargs: the options of :class:`~airflow_provider_afilnet.operators.refresh.AfilnetRefreshOperator`, of which
        ``group_id`` is mandatory, and those of every Airflow task.
    :return: a decorated task; called, it gives the refresh result.
    """
    return task_decorator_factory(
        python_callable=python_callable, decorated_operator_class=_AfilnetRefreshDecoratedOperator, **kwargs
    )
