"""A virtual environment for each peer, made once and kept in ``benchmarks/.venvs``."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).resolve().parent
ENVIRONMENTS: Final = HERE / ".venvs"


def python_of(peer: str) -> str:
    """The interpreter with what ``requirements/<peer>.txt`` pins; installs it where that is missing or has changed."""
    requirements = HERE / "requirements" / f"{peer}.txt"
    folder = ENVIRONMENTS / peer
    python, stamp = folder / "bin" / "python", folder / "installed.txt"
    if not stamp.exists() or stamp.read_text() != requirements.read_text():
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        uv = Path(sys.executable).with_name("uv")
        installer = [str(uv), "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
        if not uv.exists():
            installer = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*installer, "-r", str(requirements)], check=True)
        shutil.copyfile(requirements, stamp)
    return str(python)


def pinned(peer: str) -> tuple[str, str]:
    """The package that the peer's file of requirements is there for, its last line: name and version."""
    name, _, version = (HERE / "requirements" / f"{peer}.txt").read_text().splitlines()[-1].partition("==")
    return name, version
