"""What this provider costs Airflow: imports, parsing of DAG files, a thousand deferred sensors in one triggerer.

Run by ``make bench-airflow``; prints a table and writes it to ``AIRFLOW.md`` beside this file. Imports and
parsing are CPU time; how late looks come and how long the loop waits is by the clock, with what other processes take.
Each table says of how many runs it is the best or the median.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TESTS = HERE.parent / "tests"
sys.path.insert(0, str(TESTS))

from dag_files import AIRFLOWS_OWN, dag_file, imports_of  # noqa: E402
from tls_front import TlsFront  # noqa: E402

from airflow_provider_afilnet.sandbox import Sandbox  # noqa: E402

MODULES = (
    "exceptions",
    "hooks.afilnet",
    "operators.contacts",
    "operators.groups",
    "sensors.groups",
    "transfers.sql_to_afilnet_group",
    "triggers.groups",
)
TASKS = 200
TRIGGERS = 1000
INTERVAL = 10.0
REPEATS = int(os.environ.get("AFILNET_BENCH_REPEATS", "5"))
TRIGGERER_RUNS = 2
ROUNDS = 3


def python(*arguments: str, **environment: str) -> Any:
    """Run Python in a process of its own; the JSON that it prints last."""
    done = subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env={
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
            # Airflow's own warning of a late loop loads its list of metrics, which makes the loop later still.
            "AIRFLOW__TRIGGERER__BLOCKED_MAIN_THREAD_WARNING_THRESHOLD": "60",
            "PYTHONPATH": os.pathsep.join([str(HERE.parent), str(TESTS), str(HERE)]),
            **environment,
        },
    )
    if done.returncode:
        raise SystemExit(done.stderr[-3000:])
    return json.loads(done.stdout.rstrip("\n").rpartition("\n")[2])


def imports(home: dict[str, str]) -> Iterator[str]:
    yield "## Imports"
    yield ""
    yield f"CPU time over `import airflow.sdk`, each in fresh processes, byte code compiled: best of {REPEATS}."
    yield ""
    yield "| module | ms | bar |"
    yield "|---|---|---|"
    for module in MODULES:
        name = f"airflow_provider_afilnet.{module}"
        code = (
            "import time, airflow.sdk\nbegan = time.process_time()\n"
            f"import {name}\nprint((time.process_time() - began) * 1000)"
        )
        yield f"| `{name}` | {min(python('-c', code, **home) for _ in range(REPEATS)):.1f} | 40 |"
    yield ""


def parsing(home: dict[str, str], folder: Path) -> Iterator[str]:
    kinds = ["ours", *AIRFLOWS_OWN]
    for kind in kinds:
        (folder / f"{kind}.py").write_text(dag_file(kind, TASKS))
    fresh: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    loaded: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    worker = str(HERE / "airflow_parsing.py")
    # All of them for each kind: some of what one imports is Airflow's own, and would be paid for by another.
    modules = [module for kind in kinds for module in imports_of(kind)]
    for _ in range(REPEATS):
        for kind in kinds:
            file = str(folder / f"{kind}.py")
            fresh[kind].append(python(worker, "file", file, **home))
            loaded[kind].append(python(worker, "file", file, *modules, **home))
    forked = python(worker, "processor", str(REPEATS), *(str(folder / f"{kind}.py") for kind in kinds), **home)

    def median(figures: list[dict[str, float]], *parts: str) -> float:
        return statistics.median(sum(figure[part] for part in parts) for figure in figures)

    rows = (
        ("parsed by DagBag in a fresh process, imports included", lambda kind: median(fresh[kind], "parse")),
        ("the same, and serialized", lambda kind: median(fresh[kind], "parse", "serialize")),
        ("parsed by DagBag, modules imported before", lambda kind: median(loaded[kind], "parse")),
        ("the same, and serialized", lambda kind: median(loaded[kind], "parse", "serialize")),
        ("the DAG processor's child, all in all", lambda kind: statistics.median(forked[kind])),
    )
    yield f"## A DAG file of {TASKS} tasks"
    yield ""
    yield f"CPU time in ms, median of {REPEATS}, the kinds in turn. Ours: every operator and sensor in turn."
    yield ""
    yield f"| what | ours | {' | '.join(AIRFLOWS_OWN)} | ours : Empty | ours : Bash |"
    yield "|---|---|---|---|---|---|"
    for what, figure in rows:
        ours, empty, bash = (figure(kind) for kind in kinds)
        yield f"| {what} | {ours:.0f} | {empty:.0f} | {bash:.0f} | **{ours / empty:.2f}** | {ours / bash:.2f} |"
    yield ""


def triggerer(home: dict[str, str], folder: Path, *, spread: float) -> dict[str, Any]:
    """One run over HTTPS. ``spread``: over which part of an interval the first looks are spread; 0 is all at once."""
    with Sandbox(password="a password") as sandbox, TlsFront(sandbox.url, folder) as front:
        connection = {
            "conn_type": "afilnet",
            "host": front.url,
            "login": sandbox.user,
            "password": sandbox.password,
            "extra": {"ca_bundle": str(front.bundle)},
        }
        first = {str(10**6 + n): INTERVAL * (1 + spread * n / TRIGGERS) for n in range(TRIGGERS)}
        shared = {"afilnet_conn_id": "bench", "started": 0, "deadline": 3600, "poke_interval": INTERVAL}
        plan = {
            "triggers": [{**shared, "group_id": group, "next_look": moment} for group, moment in first.items()],
            "idle": 0,
            "lasts": INTERVAL * (ROUNDS + 1.9),
            "beat": 0.01,
        }
        (folder / "plan.json").write_text(json.dumps(plan))
        seen = python(
            str(TESTS / "triggerer_process.py"),
            str(folder / "plan.json"),
            AIRFLOW_CONN_BENCH=json.dumps(connection),
            **home,
        )
        looks: dict[str, list[float]] = {group: [] for group in first}
        for call in sandbox.calls:
            looks[str(call.params["idgroup"])].append(call.time)
    late = [moments[0] - seen["began"] - first[group] for group, moments in looks.items() if moments]
    late += [b - a - INTERVAL for moments in looks.values() for a, b in pairwise(moments)]
    done = sum(min(len(moments), ROUNDS) for moments in looks.values())
    return {**seen["loop"], "late": late, "share": done / (TRIGGERS * ROUNDS), "files": seen["files"]}


def airflows_own(home: dict[str, str], folder: Path, triggers: int) -> dict[str, Any]:
    """One run of Airflow's own triggers, which only sleep: what the loop has to bear without us."""
    plan = {"triggers": [], "idle": triggers, "lasts": 2 * INTERVAL, "beat": 0.01}
    (folder / "plan.json").write_text(json.dumps(plan))
    seen = python(str(TESTS / "triggerer_process.py"), str(folder / "plan.json"), **home)
    return dict(seen["loop"])


def sensors(home: dict[str, str], folder: Path) -> Iterator[str]:
    yield f"## {TRIGGERS} deferred sensors in one triggerer"
    yield ""
    yield (
        "`AfilnetGroupExistsTrigger` in the process that Airflow's triggerer starts, over HTTPS, every "
        f"{INTERVAL:g} s; a watch in the same loop beats every 10 ms. Best of {TRIGGERER_RUNS} runs by the longest "
        "wait. Late: from the moment a look was due to its arrival at the sandbox. Busy: CPU time of the loop's thread "
        "between two beats. A full collection of garbage is Python's, over all of Airflow's objects."
    )
    yield ""
    yield (
        "| first looks | done of due | late, median | 99 % | most | loop waited at most | busy at most | the same "
        "without a full collection | longest full collection | CPU of the loop | files open |"
    )
    yield "|---|---|---|---|---|---|---|---|---|---|---|"
    seen: dict[str, dict[str, Any]] = {}
    for name, spread in (("spread over an interval", 1.0), ("all at once", 0.0)):
        runs = [triggerer(home, folder, spread=spread) for _ in range(TRIGGERER_RUNS)]
        best = min(runs, key=lambda run: float(run["longest"]))
        seen[f"{TRIGGERS} of ours, first looks {name}"] = best
        late = sorted(best["late"])
        figures = [
            statistics.median(late),
            late[int(len(late) * 0.99)],
            late[-1],
            *(best[part] for part in ("longest", "busiest", "busiest_but_gc", "collection")),
        ]
        shown = " | ".join(f"{1000 * figure:.0f} ms" for figure in figures)
        yield f"| {name} | {best['share']:.4f} | {shown} | {best['cpu']:.1f} s | {best['files']} |"
    yield ""
    yield (
        "What of it is Airflow's own: the same process with `DateTimeTrigger`s, which do nothing but sleep. Python "
        "makes a full collection whenever the objects have grown by a quarter since the last one, and it takes as long "
        "as it takes to look at all of them. So the triggers of any provider bring one about once there are enough of "
        "them; a provider that froze or switched off the collection would do so for all others in the process."
    )
    yield ""
    for many in (TRIGGERS, 2 * TRIGGERS):
        runs = [airflows_own(home, folder, many) for _ in range(TRIGGERER_RUNS)]
        seen[f"{many} `DateTimeTrigger`"] = min(runs, key=lambda run: float(run["longest"]))
    yield (
        "| triggers | objects a trigger | full collections | the longest | loop waited at most | busy at most | the "
        "same without a full collection |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, run in seen.items():
        many = 2 * TRIGGERS if name.startswith(f"{2 * TRIGGERS} ") else TRIGGERS
        parts = ("collection", "longest", "busiest", "busiest_but_gc")
        shown = " | ".join(f"{1000 * run[part]:.0f} ms" for part in parts)
        yield f"| {name} | {run['objects'] / many:.0f} | {run['collections']} | {shown} |"
    yield ""


def heading() -> Iterator[str]:
    versions = ", ".join(
        f"{name} {version(name)}" for name in ("apache-airflow", "aiohttp", "airflow-provider-afilnet")
    )
    yield "# What this provider costs Airflow"
    yield ""
    yield f"Written by `make bench-airflow` on {datetime.now(UTC):%Y-%m-%d %H:%M} UTC."
    yield f"{versions}, Python {platform.python_version()}."
    load = os.getloadavg()[0]
    yield f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, load average {load:.1f} at the start."
    yield "A load above the number of cores means that others used the machine."
    yield ""


def main() -> None:
    lines: list[str] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        home = {"AIRFLOW_HOME": name, "PYTHONPYCACHEPREFIX": str(folder / "compiled")}
        # Compiles what the others find compiled.
        python("-c", f"import airflow.sdk, {', '.join(imports_of('ours'))}\nprint(1)", **home)
        for part in (heading(), imports(home), parsing(home, folder), sensors(home, folder)):
            for line in part:
                print(line, flush=True)
                lines.append(line)
    (HERE / "AIRFLOW.md").write_text("\n".join(lines).rstrip("\n") + "\n")


if __name__ == "__main__":
    main()
