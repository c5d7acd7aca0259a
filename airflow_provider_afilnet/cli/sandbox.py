"""``afilnet sandbox``: hands everything on to the sandbox's own command, options and help included."""

from __future__ import annotations

import sys

import click


@click.command(
    short_help="Start a local Afilnet to try and to test against.",
    add_help_option=False,
    context_settings={"ignore_unknown_options": True, "allow_extra_args": True, "help_option_names": []},
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def sandbox(arguments: tuple[str, ...]) -> None:
    """Start a local Afilnet; takes the options of python -m airflow_provider_afilnet.sandbox."""
    from airflow_provider_afilnet.sandbox.__main__ import main as serve

    sys.exit(serve(list(arguments), prog="afilnet sandbox"))
