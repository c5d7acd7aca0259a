"""What parsing a DAG file costs, in CPU milliseconds. Prints one JSON object in the last line.

``python airflow_parsing.py file FILE [MODULE ...]``: parse FILE in this fresh process, as Airflow's DagBag does, and
serialize its DAG, after importing the modules: ``{"parse": …, "serialize": …}``.

``python airflow_parsing.py processor REPEATS FILE ...``: parse each FILE in children of the kind that Airflow's DAG
processor forks, serialization and handing over included, the files in turn: ``{FILE: [… one for each repeat]}``.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import selectors
import sys
import time
import uuid
from pathlib import Path

import airflow.sdk  # noqa: F401 - every process of Airflow has it before it sees a DAG file
import structlog
from airflow.dag_processing.dagbag import BundleDagBag
from airflow.dag_processing.processor import DagFileProcessorProcess, _serialize_dags
from airflow.sdk.api.client import Client


def parse(path: Path, modules: list[str]) -> dict[str, float]:
    if modules:
        from airflow.sdk import DAG  # noqa: F401 - loaded at first use

    for module in modules:
        importlib.import_module(module)
    began = time.process_time()
    bag = BundleDagBag(dag_folder=path, bundle_path=path.parent, bundle_name="bench", load_op_links=False)
    parsed = time.process_time()
    dags, errors = _serialize_dags(bag, structlog.get_logger())
    ended = time.process_time()
    if errors or bag.import_errors or len(dags) != 1:
        raise SystemExit(f"{path.name} could not be parsed: {errors} {bag.import_errors}")
    return {"parse": (parsed - began) * 1000, "serialize": (ended - parsed) * 1000}


def process(path: Path, client: Client) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with open(os.devnull, "wb") as log:
        child = DagFileProcessorProcess.start(
            id=uuid.uuid4(),
            path=path,
            bundle_path=path.parent,
            bundle_name="bench",
            dag_file_rel_path=path.name,
            callbacks=[],
            client=client,
            selector=selectors.DefaultSelector(),
            logger=structlog.get_logger(),
            logger_filehandle=log,
        )
        while not child.is_ready:
            child._service_subprocess(0.1)
    result = child.parsing_result
    if result is None or result.import_errors or len(result.serialized_dags) != 1:
        raise SystemExit(f"{path.name} could not be parsed")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def main() -> None:
    if sys.argv[1] == "file":
        print(json.dumps(parse(Path(sys.argv[2]).resolve(), sys.argv[3:])))
        return
    client = Client(base_url=None, token="", dry_run=True)  # it is never called
    files = [Path(name).resolve() for name in sys.argv[3:]]
    spent: dict[str, list[float]] = {path.stem: [] for path in files}
    for _ in range(int(sys.argv[2]) + 1):
        for path in files:
            spent[path.stem].append(process(path, client))
    # The first child of each pays for what the parent had not loaded yet.
    print(json.dumps({name: figures[1:] for name, figures in spent.items()}))


if __name__ == "__main__":
    main()
