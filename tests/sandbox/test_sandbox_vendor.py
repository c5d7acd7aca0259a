"""The vendor's own clients sign in and read the balance at the sandbox, unchanged except for the address.

They come from their registries into ``build/``; nothing of them is kept in this repository.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from airflow_provider_afilnet.sandbox import Sandbox

BUILD = Path(__file__).resolve().parents[2] / "build" / "vendor"
NPM = "2.2.1"
PYPI = "1.0.1"
pytestmark = pytest.mark.timeout(280)


def run(*command: str, timeout: float = 240) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout)


@pytest.fixture
def box():
    # Their GET styles encode nothing, so user and password are plain words.
    with Sandbox(user="demo", password="secret", balance=12.75) as running:
        yield running


@pytest.fixture(scope="module")
def npm_client() -> Path:
    """The folder of the npm package, installed where it is not yet."""
    folder = BUILD / "npm"
    manifest = folder / "node_modules" / "afilnet" / "package.json"
    assert shutil.which("npm"), "npm is needed for the vendor's own client: apt-get install npm, or see nodejs.org"
    if not manifest.exists():
        where = ("--prefix", str(folder), "--cache", str(BUILD / "npm-cache"))
        done = run("npm", "install", *where, "--ignore-scripts", "--no-audit", "--no-fund", f"afilnet@{NPM}")
        assert done.returncode == 0, f"npm could not install afilnet@{NPM}; a registry is needed once:\n{done.stderr}"
    assert json.loads(manifest.read_text())["version"] == NPM
    return manifest.parent


@pytest.fixture(scope="module")
def pypi_client() -> Path:
    """The file of the PyPI package's only module, installed where it is not yet."""
    folder = BUILD / "pypi"
    if not (folder / f"afilnet-{PYPI}.dist-info").exists():
        wanted = ("install", "--quiet", "--no-deps", "--target", str(folder), f"afilnet=={PYPI}")
        done = run(sys.executable, "-m", "uv", "pip", *wanted, "--python", sys.executable)
        if done.returncode:
            done = run(sys.executable, "-m", "pip", *wanted)
        assert done.returncode == 0, f"pip could not install afilnet=={PYPI}; an index is needed once:\n{done.stderr}"
    return folder / "afilnet" / "__init__.py"


def test_the_npm_client(box, npm_client):
    """Its address is a property, so not a byte of it changes."""
    script = """
        const [folder, url, user, password] = process.argv.slice(1);
        const afilnet = require(folder);
        afilnet.url = url;
        afilnet.login(user, password, function (signedIn) {
            if (!signedIn) { console.log("refused"); return; }
            afilnet.user.getBalance(function (answer) { console.log(JSON.stringify(answer)); });
        });
    """
    address = f"{box.url}/api/http/"
    done = run("node", "--no-deprecation", "-e", script, str(npm_client), address, box.user, box.password)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"status": "SUCCESS", "result": "12.75"}
    assert [(call.method, call.style, call.status) for call in box.calls] == [("getbalance", "get", 200)] * 2
    done = run("node", "--no-deprecation", "-e", script, str(npm_client), address, box.user, "wrong")
    assert done.stdout == "refused\n"
    assert box.calls[-1].error == "INCORRECT_USER_PASSWORD"


def test_the_pypi_client(box, pypi_client, tmp_path):
    """Its address is spelt out in every function, so a copy has the sandbox's instead."""
    source = pypi_client.read_text()
    theirs = "http://www.afilnet.com/api/http/"
    assert source.count(theirs) == 14
    (tmp_path / "afilnet.py").write_text(source.replace(theirs, f"{box.url}/api/http/"))
    script = (
        "import sys, json, afilnet; pair = sys.argv[1:]; "
        "print(json.dumps([afilnet.isUser(*pair), afilnet.getBalance(*pair)]))"
    )

    def call(password: str) -> object:
        done = subprocess.run(
            [sys.executable, "-c", script, box.user, password],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return json.loads(done.stdout)

    assert call(box.password) == [True, {"status": "SUCCESS", "result": "12.75"}]
    assert call("wrong") == [False, {"status": "ERROR", "error": "INCORRECT_USER_PASSWORD"}]
    assert [(one.method, one.style) for one in box.calls] == [("getbalance", "get")] * 4
