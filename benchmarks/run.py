"""Run the comparison: ``python -m benchmarks.run``, or ``make bench`` and ``make bench-full``."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

import click

from benchmarks.session import Session
from benchmarks.tools import TOOLS

PARTS: Final = (*(tool.name for tool in TOOLS), "floors")


def _parts(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(","))
    if unknown := sorted(set(chosen) - set(PARTS)):
        raise click.BadParameter(f"there is no {unknown[0]!r}; choose from {', '.join(PARTS)}")
    return chosen


@click.command()
@click.option("--rows", type=click.IntRange(min=300), multiple=True, default=(10_000, 100_000), show_default=True)
@click.option("--only", callback=_parts, default=",".join(PARTS), show_default=True, help="Parts to run, by commas.")
def main(rows: tuple[int, ...], only: tuple[str, ...]) -> None:
    """Compare the refresh with its peers, side by side, against one sandbox."""
    began = time.monotonic()
    for number in rows:
        click.echo(f"{number:,} rows")
        with tempfile.TemporaryDirectory(prefix="afilnet-benchmark-") as folder:
            Session(
                Path(folder), number, only, lambda text: click.echo(f"[{time.monotonic() - began:6.0f} s]{text}")
            ).run()


if __name__ == "__main__":
    main()
