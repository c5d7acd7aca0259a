"""A running sandbox and a plain ``requests`` client for each of the four ways to call it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from airflow_provider_afilnet.api.methods import METHODS
from airflow_provider_afilnet.sandbox import Sandbox


class Caller:
    """Calls a sandbox as the documents say; ``ask`` answers the JSON, ``send`` the whole response."""

    def __init__(self, sandbox: Sandbox) -> None:
        self.sandbox = sandbox
        self.session = requests.Session()
        self.session.trust_env = False
        self.style = "post"
        self.user: str | None = sandbox.user
        self.password: str | None = sandbox.password

    def send(self, method: str | None, timeout: float = 10, **params: Any) -> requests.Response:
        if method is not None:
            params = {"class": METHODS[method].api_class if method in METHODS else "group", "method": method, **params}
        if "api_class" in params:
            params["class"] = params.pop("api_class")
        return self.raw({name: value for name, value in params.items() if value is not None}, timeout)

    def raw(self, params: dict[str, Any], timeout: float = 10) -> requests.Response:
        auth = None
        if self.style.startswith("basic"):
            url = f"{self.sandbox.url}/api/basic/"
            if self.user is not None:
                auth = (self.user, self.password or "")
        else:
            url = f"{self.sandbox.url}/api/http/"
            signed = {"user": self.user, "password": self.password}
            params = {**{name: value for name, value in signed.items() if value is not None}, **params}
        if self.style in ("get", "basic-get"):
            return self.session.get(url, params=params, auth=auth, timeout=timeout, allow_redirects=False)
        return self.session.post(url, data=params, auth=auth, timeout=timeout, allow_redirects=False)

    def ask(self, method: str | None, **params: Any) -> dict[str, Any]:
        return self.send(method, **params).json()

    def result(self, method: str, **params: Any) -> Any:
        answer = self.ask(method, **params)
        assert answer["status"] == "SUCCESS", answer
        return answer.get("result")

    def code(self, method: str | None, **params: Any) -> str:
        answer = self.ask(method, **params)
        assert answer["status"] == "ERROR", answer
        return answer["error"]


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(user="u", password="pw-secret") as running:
        yield running


@pytest.fixture
def caller(box: Sandbox) -> Iterator[Caller]:
    made = Caller(box)
    yield made
    made.session.close()


@pytest.fixture
def caller_for() -> Iterator[Callable[[Sandbox], Caller]]:
    made: list[Caller] = []

    def make(sandbox: Sandbox) -> Caller:
        made.append(Caller(sandbox))
        return made[-1]

    yield make
    for one in made:
        one.session.close()
