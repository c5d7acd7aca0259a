"""The root of the command line, and how its errors end: one sentence and an exit code."""

from __future__ import annotations

from typing import Any

import click

from airflow_provider_afilnet import __version__
from airflow_provider_afilnet.api.errors import AfilnetConfigurationError, AfilnetError
from airflow_provider_afilnet.cli.contacts import contacts
from airflow_provider_afilnet.cli.doctor.command import doctor
from airflow_provider_afilnet.cli.sandbox import sandbox
from airflow_provider_afilnet.refresh.errors import AfilnetOptionError


class _Sentences(click.Group):
    """Ends with one sentence where a traceback would come: 2 for what the user gave, 1 for what happened."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (AfilnetConfigurationError, AfilnetOptionError) as error:
            raise click.UsageError(str(error)) from None
        except AfilnetError as error:
            raise click.ClickException(str(error)) from None


@click.group(
    cls=_Sentences,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="User and password come from an Airflow connection in the environment (AIRFLOW_CONN_AFILNET_DEFAULT, or "
    "another one with --connection), from AFILNET_USER and AFILNET_PASSWORD, or from a prompt; never from an option, "
    "which every user of the machine could read.",
)
@click.version_option(__version__, prog_name="afilnet")
def main() -> None:
    """Contact groups of Afilnet from the command line.

    Exit codes: 0 all is well, 1 something failed or differs, 2 wrong usage.
    """


main.add_command(doctor)
main.add_command(sandbox)
main.add_command(contacts)
