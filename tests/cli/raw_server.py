"""A server that answers every connection with the same bytes, with or without TLS."""

from __future__ import annotations

import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def raw_server(answer: bytes, certificate: Path | None = None) -> Iterator[int]:
    """Serve ``answer`` to whatever is asked; yields the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    context = None
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)

    def serve() -> None:
        while True:
            try:
                line, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), line:
                line.settimeout(5)
                secure = context.wrap_socket(line, server_side=True) if context else line
                if _asked(secure):
                    secure.sendall(answer)
                secure.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def _asked(line: socket.socket) -> bool:
    """Read a whole request: to close a line with bytes unread would take the answer back from the client."""
    request = b""
    while b"\r\n\r\n" not in request:
        # The first record of TLS, which waits for an answer: a byte for its kind, two for a version, two for a length.
        if request.startswith(b"\x16") and len(request) >= 5 + int.from_bytes(request[3:5]):
            return True
        if not (more := line.recv(65536)):
            return bool(request)
        request += more
    head, _, body = request.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    while missing > 0 and (more := line.recv(65536)):
        missing -= len(more)
    return True
