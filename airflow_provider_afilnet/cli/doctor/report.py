"""The report of a visit as Markdown and JSON: types, key names, codes and times; no values, nobody's name."""

from __future__ import annotations

import datetime as dt
import json
import os
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_afilnet import __version__
from airflow_provider_afilnet.cli.doctor.advice import api_facts, recommended
from airflow_provider_afilnet.cli.doctor.visit import Visit


def report_of(visit: Visit, left: list[str]) -> dict[str, Any]:
    """Everything that a visit found, as one object."""
    settings = visit.observer.client.settings
    return {
        "afilnet_provider": __version__,
        "when": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        "host": urlsplit(settings.origin).netloc,
        "api_style": settings.style,
        "calls": visit.observer.calls,
        "api_facts": api_facts(visit.findings),
        "recommended": recommended(visit.findings),
        "findings": [finding.as_dict() for finding in visit.findings.all()],
        "answers": visit.observer.forms,
        "median_ms": visit.observer.milliseconds(),
        "rate_limit_headers": sorted(visit.observer.headers),
        "steps": visit.console.steps,
        "left_behind": left,
    }


def write_report(folder: Path, report: dict[str, Any]) -> list[Path]:
    """Write ``afilnet-doctor.json`` and ``afilnet-doctor.md``; answers their paths.

    :raises OSError: if the folder cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "afilnet-doctor.md": as_markdown(report),
        "afilnet-doctor.json": json.dumps(report, indent=2, ensure_ascii=False) + "\n",
    }
    for name, text in texts.items():
        _write(folder / name, text)
    return [folder / name for name in texts]


def _write(path: Path, text: str) -> None:
    """All of the file or nothing."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def as_markdown(report: dict[str, Any]) -> str:
    """The report for readers."""
    lines = [
        "# afilnet doctor",
        "",
        f"{report['when']}, {report['host']}, api_style `{report['api_style']}`, {report['calls']} calls, "
        f"airflow-provider-afilnet {report['afilnet_provider']}. Shapes are types and key names only.",
        "",
        "## For the connection",
        "",
        "```json",
        json.dumps({"api_facts": report["api_facts"]}),
        "```",
        "",
    ]
    lines += [f"- `{name}`: {option['value']} - {option['why']}." for name, option in report["recommended"].items()]
    lines += ["", "## What was found", "", "| question | answer | confidence | settles |", "|---|---|---|---|"]
    lines += [
        f"| {_cell(finding['text'])} | {_cell(finding['answer'])} | {finding['confidence']} | "
        f"{_cell(finding['settles'])} |"
        for finding in report["findings"]
    ]
    lines += ["", "## Answers", "", "| method | shapes and codes | median |", "|---|---|---|"]
    lines += [
        f"| {name} | {_cell('; '.join(forms))} | {report['median_ms'].get(name, '')} ms |"
        for name, forms in report["answers"].items()
    ]
    lines += ["", "## Steps", ""]
    # The questions are in the table above.
    told = {finding["text"] for finding in report["findings"]}
    steps = [step for step in report["steps"] if step["step"] not in told]
    lines += [f"- {step['outcome']}: {step['step']}: {step['text']}" for step in steps]
    lines += ["", "## Left behind", "", *(f"- {sentence}" for sentence in report["left_behind"] or ["nothing"]), ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
