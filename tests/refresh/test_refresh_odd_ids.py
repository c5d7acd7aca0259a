"""Ids that do not tell contacts apart stop a refresh before it writes. The sandbox has none, a server here does."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

import pytest
from refresh_world import SETTLE, people, phone, table

from airflow_provider_afilnet.api.errors import AfilnetUnreadableAnswerError
from airflow_provider_afilnet.api.settings import ClientSettings
from airflow_provider_afilnet.refresh.engine import Refresh
from airflow_provider_afilnet.refresh.options import RefreshOptions


class Server(ThreadingHTTPServer):
    """Answers the columns and a list of contacts, and notes which methods it was asked for."""

    contacts: list[dict[str, Any]]

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.methods: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Server)
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        (method,) = form["method"]
        self.server.methods.append(method)
        results = {"getgroupcolumns": ["mobile", "name", "city"], "getcontacts": self.server.contacts}
        body = json.dumps({"status": "SUCCESS", "result": results.get(method)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def contacts(*ids: str | None) -> list[dict[str, Any]]:
    known = people(*range(len(ids)))
    return [
        contact | ({} if found is None else {"idcontact": found}) for contact, found in zip(known, ids, strict=True)
    ]


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (("1", None, "3"), "3 contacts of which only 2 have an id"),
        ((None, None, "3"), "3 contacts of which only 1 have an id"),
        (("1", "2", "1"), "one contact id twice"),
        (("7", "7", "8"), "one contact id twice"),
    ],
)
@pytest.mark.parametrize("mode", ["insert", "upsert", "mirror", "remove"])
def test_nothing_is_written(server: Server, ids: tuple[str | None, ...], says: str, mode: str) -> None:
    server.contacts = contacts(*ids)
    settings = ClientSettings("u", "p", f"http://127.0.0.1:{server.server_port}", max_requests_per_second=0)
    refresh = Refresh(settings, "1000", RefreshOptions.read(mode=mode, settle=SETTLE, max_deletes=1.0))
    with pytest.raises(AfilnetUnreadableAnswerError, match=says) as caught:
        refresh.run(table(people(1, 50, name="New")))
    assert set(server.methods) == {"getgroupcolumns", "getcontacts"}
    assert phone(1) not in str(caught.value)
