"""The command line as a process, and what importing the package costs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from dataclasses import fields

import pytest
import requests

from airflow_provider_afilnet.api.client import AfilnetClient
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.sandbox import Dialect, Sandbox
from airflow_provider_afilnet.sandbox.faults import KINDS

COMMAND = [sys.executable, "-m", "airflow_provider_afilnet.sandbox"]
pytestmark = pytest.mark.timeout(60)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serves_until_a_signal(tmp_path, number):
    arguments = ["--port", "0", "--user", "me", "--password", "pw-secret", "--database", str(tmp_path / "a.db")]
    arguments += ["--dialect", "contacts=keyed", "numbers=number", "--fault", "error:code=X,methods=deletegroup"]
    arguments += ["--latency", "0.05"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        connection = json.loads(re.search(r"AIRFLOW_CONN_AFILNET_DEFAULT='(.*)'", line)[1])
        assert (connection["host"], connection["login"], connection["conn_type"]) == (url, "me", "afilnet")

        def ask(method, **params):
            data = {"user": "me", "password": "pw-secret", "class": "group", "method": method, **params}
            return requests.post(f"{url}/api/http/", data=data, timeout=5).json()

        gid = ask("creategroup", name="g", type="mobile", fields="mobile")["result"]
        ask("addcontact", idgroup=gid, contact="mobile:34600000000")
        assert (gid, ask("getcontacts", idgroup=gid)["result"]) == (1000, {"100001": {"mobile": 34600000000}})
        assert ask("deletegroup", idgroup=gid)["error"] == "X"
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
        assert (process.returncode, out, err) == (0, "", "")
        assert "pw-secret" not in line
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dialect", "contacts=round"], "contacts cannot be 'round'"),
        (["--dialect", "shape=flat"], "no dialect field 'shape'"),
        (["--fault", "fire"], "no fault 'fire'"),
        (["--fault", "latency"], "needs seconds"),
        (["--fault", "latency:seconds=x"], "must be a number"),
        (["--database", "/nowhere/at/all.db"], "unable to open database file"),
        (["--port", "x"], "'x' is not a port"),
        (["--host", ""], "host must not be blank"),
        (["--host", " "], "host must not be blank"),
        (["--account", "shop"], "USER:PASSWORD"),
        (["--client", "an-id"], "ID:SECRET"),
        (["--client", "a:b", "demo", "more"], "ID:SECRET"),
        (["--client", "a:b", "nobody"], "no account 'nobody'"),
    ],
)
def test_wrong_arguments(arguments, message):
    done = subprocess.run([*COMMAND, "--port", "0", *arguments], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("closed", [">&-", "| true"])
def test_it_serves_where_nobody_reads_what_it_says(tmp_path, closed):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ended = tmp_path / "ended"
    script = f"({' '.join(COMMAND)} --port {port} & echo $! > {tmp_path}/pid; wait $!; echo $? > {ended}) {closed}"
    process = subprocess.Popen(["bash", "-c", script], stderr=subprocess.PIPE, text=True)
    try:
        pid = int(once(lambda: (tmp_path / "pid").read_text()))
        once(lambda: requests.get(f"http://127.0.0.1:{port}/_sandbox/health", timeout=5).ok)
        os.kill(pid, signal.SIGTERM)
        assert (process.communicate(timeout=20)[1], ended.read_text()) == ("", "0\n")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("arguments", "variable", "password"),
    [([], None, "demo"), ([], "", "demo"), ([], "pw-of-the-real", "pw-of-the-real"), (["--password", "x"], "y", "x")],
)
def test_the_password_may_come_from_the_environment(arguments, variable, password):
    env = {**os.environ, **({} if variable is None else {"AFILNET_SANDBOX_PASSWORD": variable})}
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
    )
    try:
        line = process.stdout.readline()
        url = re.search(r"http://127\.0\.0\.1:\d+", line)[0]
        data = {"user": "demo", "password": password, "class": "user", "method": "getbalance"}
        assert requests.post(f"{url}/api/http/", data, timeout=5).json()["status"] == "SUCCESS"
        assert "pw-of-the-real" not in line
        process.terminate()
        assert process.communicate(timeout=10) == ("", "")
    finally:
        process.kill()
        process.communicate()


def once(look, seconds=20):
    """What ``look`` answers as soon as it answers something."""
    end = time.monotonic() + seconds
    while True:
        try:
            if found := look():
                return found
        except OSError:
            pass
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_port_that_is_taken(box):
    done = subprocess.run([*COMMAND, "--port", str(box.port)], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "in use" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_listening_for_others_warns():
    with pytest.warns(UserWarning, match="everybody"), Sandbox(host="0.0.0.0") as sandbox:
        assert requests.get(f"http://127.0.0.1:{sandbox.port}/_sandbox/health", timeout=5).ok


@pytest.mark.parametrize(("host", "warned"), [("127.0.0.1", False), ("localhost", False), ("0.0.0.0", True)])
def test_the_command_says_so_when_others_can_reach_it(host, warned):
    arguments = ["--port", "0", "--host", host, "--account", "shop@example.com:pw:2"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        port = re.search(r":(\d+) ", process.stdout.readline())[1]
        # A password may hold a colon.
        data = {"user": "shop@example.com", "password": "pw:2", "class": "user", "method": "getbalance"}
        assert requests.post(f"http://127.0.0.1:{port}/api/http/", data=data, timeout=5).json()["status"] == "SUCCESS"
        process.terminate()
        said = process.communicate(timeout=10)[1]
        assert ("everybody who can reach it" in said) is warned
        assert len(said.splitlines()) == warned
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(("host", "told"), [("0.0.0.0", "127.0.0.1"), ("::", "[::1]"), ("localhost", "localhost")])
def test_the_connection_that_is_told_can_be_used(host, told):
    arguments = ["--port", "0", "--host", host, "--password", "pw"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        connection = json.loads(re.search(r"AIRFLOW_CONN_AFILNET_DEFAULT='(.*)'", process.stdout.readline())[1])
        assert connection["host"].rpartition(":")[0] == f"http://{told}"
        # A plain address of this machine is what the package itself accepts.
        with AfilnetClient(ClientSettings(user="demo", password="pw", base_url=connection["host"])) as client:
            assert client.call("getbalance")
    finally:
        process.kill()
        process.communicate()


def test_the_clients_of_two_accounts_do_not_see_each_other():
    arguments = ["--port", "0", "--account", "shop@example.com:pw", "--client", "one:s:e=c@1", "--client"]
    arguments += ["two:s2", "shop@example.com"]
    process = subprocess.Popen([*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        url = re.search(r"http://127\.0\.0\.1:\d+", process.stdout.readline())[0]
        third = {"user": "third", "password": "p", "client_id": "three", "client_secret": "s3"}
        assert requests.post(f"{url}/_sandbox/accounts", json=third, timeout=5).status_code == 201
        half = {**third, "user": "half", "client_secret": ""}
        assert requests.post(f"{url}/_sandbox/accounts", json=half, timeout=5).status_code == 400

        def ask(client, method, **params):
            form = {"grant_type": "client_credentials"}
            token = requests.post(f"{url}/oauth/token", form, auth=client, timeout=5).json()["access_token"]
            body = {"class": "group", "method": method, **params}
            headers = {"Authorization": f"Bearer {token}"}
            return requests.post(f"{url}/api/json/", json=body, headers=headers, timeout=5).json()

        clients = [("one", "s:e=c@1"), ("two", "s2"), ("three", "s3")]
        made = [ask(client, "creategroup", name="g", type="mobile", fields="mobile")["result"] for client in clients]
        assert len(set(made)) == 3
        for owner, group in zip(clients, made, strict=True):
            for client in clients:
                answer = ask(client, "getcontacts", idgroup=group)
                assert answer.get("error") == (None if client == owner else "NOT_ACCESS_TO_GROUP")
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (COMMAND, "python -m airflow_provider_afilnet.sandbox"),
        (
            [sys.executable, "-c", "from airflow_provider_afilnet.cli.main import main; main()", "sandbox"],
            "afilnet sandbox",
        ),
    ],
)
def test_help_names_the_command_that_was_typed(command, name):
    text = subprocess.run([*command, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert text.startswith(f"usage: {name} [-h]")


INTERRUPTED = """
import os, signal, sys, threading
from airflow_provider_afilnet.sandbox import __main__ as command

left = int(sys.argv[1])
said = command._say

def count(frame, event, argument):
    global left
    left -= event == "line"
    if event == "line" and left == 0:
        os.kill(os.getpid(), signal.SIGINT)
    return count

def late():
    if left > 0:
        os.kill(os.getpid(), signal.SIGINT)

def say(text):
    said(text)
    threading.Timer(0.3, late).start()
    sys._getframe(1).f_trace = count
    sys.settrace(count)

command._say = say
sys.exit(command.main(["--port", "0"]))
"""


@pytest.mark.parametrize("line", [1, 2, 5, 9, 13])
def test_a_signal_ends_it_wherever_it_finds_it(line):
    """It comes at the n-th line of Python after the announcement, or, if it waits before that, somewhat later."""
    process = subprocess.Popen([sys.executable, "-c", INTERRUPTED, str(line)], stdout=subprocess.PIPE)
    try:
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_importing_the_package_loads_no_server():
    code = (
        "import sys, airflow_provider_afilnet.sandbox as s; print([m for m in ('uvicorn', 'starlette', 'sqlite3',"
        " 'airflow') if m in sys.modules]); s.Sandbox, s.Dialect, s.Fault; print('airflow' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split("\n")[:2] == ["[]", "False"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "99999"],
        ["--port", "-1"],
        ["--user", ""],
        ["--latency", "-1"],
        ["--fault", "capped_read:limit=-5"],
        ["--fault", "http_500:status=200"],
        ["--fault", "html:applied=perhaps"],
    ],
)
def test_values_out_of_range_get_a_sentence(arguments: list[str]) -> None:
    run = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, timeout=30, check=False)
    assert run.returncode == 2
    assert "Traceback" not in run.stderr
    assert "must" in run.stderr or "not a port" in run.stderr


def test_help_lists_every_fault_and_dialect() -> None:
    text = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, timeout=30, check=True).stdout
    assert all(f"  {kind}" in text for kind in KINDS)
    assert all(f"  {field.name}: " in text for field in fields(Dialect))
