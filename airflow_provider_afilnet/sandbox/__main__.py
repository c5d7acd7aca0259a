"""``python -m airflow_provider_afilnet.sandbox``: a local Afilnet until Ctrl-C."""

from __future__ import annotations

import argparse
import json
import os
import queue
import shlex
import signal
import sqlite3
import sys
import warnings
from collections.abc import Sequence
from dataclasses import fields

from airflow_provider_afilnet.sandbox.dialect import Dialect, dialects_of, parse_dialect
from airflow_provider_afilnet.sandbox.faults import KINDS, parse_fault
from airflow_provider_afilnet.sandbox.server import Sandbox

_PASSWORD = "AFILNET_SANDBOX_PASSWORD"  # noqa: S105 - the name of a variable


def _parser(prog: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=prog,
        description="A local Afilnet to try and to test against.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_choices(),
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=_port, default=8765, help="port to listen on; 0 picks a free one")
    parser.add_argument("--user", default="demo", help="user of the account (default: demo)")
    parser.add_argument(
        "--password",
        help=f"password of the account (default: {_PASSWORD} of the environment, else demo); everybody on this machine "
        "can read it in process lists, as those of --account and --client, so give one that is used for nothing else",
    )
    parser.add_argument(
        "--client",
        nargs="+",
        default=[],
        action="append",
        metavar=("ID:SECRET", "USER"),
        help="OAuth client for calls of api_style json, of the main account or of USER; may be given several times",
    )
    parser.add_argument(
        "--account",
        type=_account,
        default=[],
        action="append",
        metavar="USER:PASSWORD",
        help="another account; it sees no group of the others",
    )
    parser.add_argument("--database", metavar="FILE", help="SQLite file that keeps the state (default: memory)")
    parser.add_argument(
        "--dialect", nargs="+", default=[], action="extend", metavar="FIELD=VALUE", help="such as contacts=keyed"
    )
    parser.add_argument(
        "--fault",
        nargs="+",
        default=[],
        action="extend",
        metavar="KIND[:KEY=VALUE,...]",
        help="such as rate_limited:retry_after=1,every=10; several methods or keys are parted by /",
    )
    parser.add_argument("--latency", type=float, metavar="SECONDS", help="delay of every answer")
    return parser


def _choices() -> str:
    """What ``--dialect`` and ``--fault`` take, from the tables that the sandbox itself uses."""
    lines = ["dialects, the default first:"]
    lines += [
        f"  {field.name}: {', '.join(str(value).lower() for value in dialects_of(field.name)) or 'any'}"
        for field in fields(Dialect)
    ]
    lines.append("faults, with what tells more about them; each also takes methods, first, count, every, after:")
    lines += [f"  {name}{': ' + ', '.join(kind.detail) if kind.detail else ''}" for name, kind in KINDS.items()]
    return "\n".join(lines)


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port; give a number from 0 to 65535")
    return int(text)


def _client(texts: Sequence[str], user: str) -> tuple[str, str, str]:
    """User, id and secret of a client. The user is a word of its own, since a secret may hold any character."""
    name, _, secret = texts[0].partition(":")
    if not name or not secret or len(texts) > 2:
        raise ValueError("--client: a client is written ID:SECRET, and then the USER whose it is, if not the main one")
    return texts[1] if len(texts) > 1 else user, name, secret


def _account(text: str) -> tuple[str, str]:
    user, _, password = text.partition(":")
    if not user or not password:
        raise argparse.ArgumentTypeError("an account is written USER:PASSWORD")
    return user, password


def _announcement(sandbox: Sandbox) -> str:
    # The password stays out of a line that may end in a log.
    # A sandbox that listens everywhere is reached here by this machine's own address.
    own = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(sandbox.host)  # noqa: S104 - it is compared with, not bound
    url = f"http://{own}:{sandbox.port}" if own else sandbox.url
    connection = {"conn_type": "afilnet", "host": url, "login": sandbox.user, "password": "<the password>"}
    variable = f"AIRFLOW_CONN_AFILNET_DEFAULT={shlex.quote(json.dumps(connection))}"
    return f"Afilnet sandbox on {url} - connection for Airflow: {variable}\n"


def _say(text: str) -> None:
    """Write to standard output. Where it is closed, or nobody reads it, the sandbox serves all the same."""
    if sys.stdout is None:
        return
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError:
        # What is left in the buffer would be an error again when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: Sequence[str] | None = None, *, prog: str = "python -m airflow_provider_afilnet.sandbox") -> int:
    """Serve until SIGINT or SIGTERM; answers the exit code. ``prog``: the command's name, for its help and errors."""
    options = _parser(prog).parse_args(arguments)
    warnings.formatwarning = lambda message, *_: f"Warning: {message}\n"
    # An Event would not do: a signal that arrives while this thread is about to wait for it would find its lock taken.
    ended: queue.SimpleQueue[None] = queue.SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.put(None))
    password = options.password if options.password is not None else os.environ.get(_PASSWORD) or "demo"
    try:
        if not options.user or not password:
            raise ValueError("--user and --password must not be blank")
        sandbox = Sandbox(
            user=options.user,
            password=password,
            host=options.host,
            port=options.port,
            dialect=parse_dialect(options.dialect),
            path=options.database,
        )
        for account in options.account:
            sandbox.add_account(*account)
        known = {options.user, *(user for user, _ in options.account)}
        for client in options.client:
            owner, name, secret = _client(client, options.user)
            if owner not in known:
                raise ValueError(f"--client: there is no account {owner!r}; give it with --account")
            sandbox.add_client(owner, name, secret)
        for text in options.fault:
            sandbox.fail(**parse_fault(text))
        if options.latency:
            sandbox.fail("latency", seconds=options.latency)
        sandbox.start()
    except (ValueError, OSError, sqlite3.Error) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    try:
        _say(_announcement(sandbox))
        ended.get()
    finally:
        sandbox.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
