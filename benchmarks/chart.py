"""``results.svg``: for each phase a bar per tool, as long as it took, and what is wrong with its group afterwards."""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import escape
from typing import Final

from benchmarks.results import Sized
from benchmarks.session import PHASES
from benchmarks.tools import TOOLS

_WIDTH: Final = 920
_NAMES: Final = 210
_BARS: Final = 260
_LINE: Final = 26
_STYLE: Final = """
  text { font: 13px system-ui, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328 }
  .paper { fill: #ffffff }
  .title { font-size: 16px; font-weight: 600 }
  .phase { font-weight: 600 }
  .small { font-size: 12px; fill: #59636e }
  .wrong { fill: #b3261e }
  .exact { fill: #1a7f37 }
  .ours { fill: #0969da }
  .peer { fill: #afb8c1 }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .paper { fill: #0d1117 }
    .small { fill: #9198a1 }
    .wrong { fill: #ff8a80 }
    .exact { fill: #57c96b }
    .ours { fill: #4493f8 }
    .peer { fill: #59626d }
  }
"""


@dataclass(frozen=True)
class _Bar:
    name: str
    seconds: float
    ours: bool
    state: str
    exact: bool


def chart(sized: Sized) -> str:
    """The picture for one number of rows, readable on a light and a dark page. Tools given fewer rows are left out."""
    phases = {phase: _bars(sized, phase) for phase in PHASES}
    longest = max((bar.seconds for found in phases.values() for bar in found), default=1.0)
    lines: list[str] = []
    y = 34
    lines.append(
        f'<text class="title" x="20" y="{y}">{sized.rows:,} contacts: seconds, and the group afterwards</text>'
    )
    for phase, found in phases.items():
        y += 34
        lines.append(f'<text class="phase" x="20" y="{y}">{escape(phase[0].upper() + phase[1:])}</text>')
        for bar in found:
            y += _LINE
            lines += _drawn(bar, y, longest)
    fewer = {done.tool for done in sized.measurements if done.rows < sized.rows}
    left_out = [tool.title for tool in TOOLS if tool.name in fewer]
    y += 10
    note = f"{sized.stamp.date}, {sized.stamp.machine}."
    for text in (note, *(f"Not drawn, since it was given fewer rows: {_plain(title)}." for title in left_out)):
        y += 24
        lines.append(f'<text class="small" x="20" y="{y}">{escape(text)}</text>')
    height = y + 20
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="Seconds of each tool and what is wrong with its group afterwards">\n'
        f"<style>{_STYLE}</style>\n"
        f'<rect class="paper" width="{_WIDTH}" height="{height}" rx="6"/>\n' + "\n".join(lines) + "\n</svg>\n"
    )


def _bars(sized: Sized, phase: str) -> list[_Bar]:
    found = []
    for tool in TOOLS:
        done = sized.of(tool.name, phase)
        seconds = sized.seconds(tool.name, phase)
        if seconds is None or done[0].rows < sized.rows:
            continue
        wrong = {name: max(getattr(one, name) for one in done) for name in ("missing", "stale", "wrong", "doubled")}
        state = ", ".join(f"{number:,} {name}" for name, number in wrong.items() if number)
        found.append(_Bar(_plain(tool.title), seconds, tool.peer is None, state or "exact", not state))
    return found


def _drawn(bar: _Bar, y: int, longest: float) -> list[str]:
    length = max(1.0, bar.seconds / longest * _BARS)
    color = "ours" if bar.ours else "peer"
    return [
        f'<text x="{_NAMES - 8}" y="{y}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect class="{color}" x="{_NAMES}" y="{y - 13}" width="{length:.1f}" height="17" rx="2"/>',
        f'<text x="{_NAMES + length + 6:.1f}" y="{y}">{bar.seconds:.1f} s '
        f'<tspan class="{"exact" if bar.exact else "wrong"}">{escape(bar.state)}</tspan></text>',
    ]


def _plain(title: str) -> str:
    return re.sub(r"\*", "", title)
