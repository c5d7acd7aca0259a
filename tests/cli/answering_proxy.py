"""A server in front of a sandbox that answers one method in its own way, after the sandbox has done it or without."""

from __future__ import annotations

import contextlib
import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from airflow_provider_afilnet.sandbox import Sandbox


@contextlib.contextmanager
def answering_proxy(
    sandbox: Sandbox, method: str, result: Callable[[Any], Any], *, swallow: bool = False
) -> Iterator[str]:
    """Pass every POST on; the result of each successful ``method`` becomes what ``result`` makes of it.

    :param swallow: the sandbox does not get to see ``method``.
    :return: the proxy's base URL.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            passed = {name: self.headers[name] for name in ("Content-Type", "Authorization") if self.headers[name]}
            request = urllib.request.Request(sandbox.url + self.path, body, passed)
            is_asked = parse_qs(body.decode()).get("method") == [method]
            if is_asked and swallow:
                status, answer = 200, b'{"status": "SUCCESS", "result": null}'
            else:
                with urllib.request.urlopen(request) as response:
                    status, answer = response.status, response.read()
            if is_asked:
                envelope = json.loads(answer)
                if envelope["status"].upper() == "SUCCESS":
                    answer = json.dumps({**envelope, "result": result(envelope.get("result"))}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
