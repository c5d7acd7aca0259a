"""Run the comparison: ``python -m benchmarks.run``, or ``make bench`` and ``make bench-full``."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import click

from benchmarks.bars import bars
from benchmarks.chart import chart
from benchmarks.engine_runs import measure_engine
from benchmarks.report import measured, report, verdict
from benchmarks.results import Engine, Results, Sized, Stamp
from benchmarks.session import Session
from benchmarks.tools import ROOT, TOOLS

PARTS: Final = (*(tool.name for tool in TOOLS), "floors", "engine")
KEPT: Final = ROOT / "benchmarks"


def _parts(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
    chosen = tuple(part.strip() for part in text.split(","))
    if unknown := sorted(set(chosen) - set(PARTS)):
        raise click.BadParameter(f"there is no {unknown[0]!r}; choose from {', '.join(PARTS)}")
    return chosen


@click.command()
@click.option(
    "--rows",
    type=click.IntRange(min=300),
    multiple=True,
    default=(10_000, 100_000),
    show_default=True,
    help="Contacts; may be given several times, and 100000 before 1000000 shows whether memory is flat.",
)
@click.option("--only", callback=_parts, default=",".join(PARTS), show_default=True, help="Parts to run, by commas.")
@click.option("--repeat", type=click.IntRange(min=1), default=1, show_default=True, help="Runs; medians are reported.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder of the results. Default: benchmarks, or build/benchmarks when not every part is run.",
)
def main(rows: tuple[int, ...], only: tuple[str, ...], repeat: int, out: Path | None) -> None:
    """Compare the refresh with its peers, side by side, against one sandbox."""
    folder = out or (KEPT if set(only) == set(PARTS) else ROOT / "build" / "benchmarks")
    folder.mkdir(parents=True, exist_ok=True)
    results = Results.read(folder / "results.json")
    stamp, say = Stamp.now(), _clock()
    if "engine" in only:
        with tempfile.TemporaryDirectory(prefix="afilnet-benchmark-") as scratch:
            results.engine = Engine(stamp, measure_engine(Path(scratch), say))
        _keep(results, folder)
    for number in sorted(set(rows)) if set(only) != {"engine"} else ():
        results.sizes[number] = sized = Sized(stamp, number)
        for turn in range(repeat):
            say(f"{number:,} contacts, run {turn + 1} of {repeat}")
            with tempfile.TemporaryDirectory(prefix="afilnet-benchmark-") as scratch:
                session = Session(Path(scratch), number, only, say)
                session.run()
            sized.measurements += session.measurements
            sized.floors += session.floors
        _keep(results, folder)
    for bar in bars(results):
        click.echo(f"{measured(bar):>12}  {verdict(bar).strip('*'):<12}  {bar.name} ({bar.allowed})")
    click.echo(f"Results: {folder / 'RESULTS.md'}")


def _clock() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda text: click.echo(f"[{time.monotonic() - began:6.0f} s] {text}")


def _keep(results: Results, folder: Path) -> None:
    results.write(folder / "results.json")
    (folder / "RESULTS.md").write_text(report(results))
    if results.sizes:
        (folder / "results.svg").write_text(chart(results.sizes[max(results.sizes)]))


if __name__ == "__main__":
    main()
