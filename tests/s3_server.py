"""A real S3 over HTTP on this machine: moto's server, with one bucket in it."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import requests
from moto.server import ThreadedMotoServer
from upath import UPath

KEY, SECRET, REGION = "AKIAREPORTTEST", "Secreto-De-Prueba-S3-9", "eu-west-1"
FEW_TRIES = {"retries": {"max_attempts": 1}}
"""By itself the client asks a server that is not there for eight seconds."""


class S3Server:
    """Starts at once. Its state is the process's, so every server has a bucket of its own."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
        self._server.start()
        self._refusing = False
        host, port = self._server.get_host_and_port()
        self.url = f"http://{host}:{port}"
        self.client: Any = boto3.client(
            "s3", endpoint_url=self.url, aws_access_key_id=KEY, aws_secret_access_key=SECRET, region_name=REGION
        )
        self.bucket = f"reports-{uuid.uuid4().hex}"
        self.make_bucket()

    def make_bucket(self) -> None:
        self.client.create_bucket(Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION})

    @property
    def conn_id(self) -> str:
        """Airflow keeps storages by connection id, so no other server may have the same."""
        return self.bucket.replace("-", "_")

    @property
    def connection(self) -> dict[str, Any]:
        """The Airflow connection's fields."""
        extra = {"endpoint_url": self.url, "region_name": REGION, "config_kwargs": FEW_TRIES}
        return {"conn_type": "aws", "login": KEY, "password": SECRET, "extra": extra}

    def folder(self, name: str = "a/report", *, bucket: str | None = None) -> UPath:
        """A path object as a user without Airflow makes it."""
        options = {"key": KEY, "secret": SECRET, "endpoint_url": self.url, "client_kwargs": {"region_name": REGION}}
        options["config_kwargs"] = FEW_TRIES
        return UPath(f"s3://{bucket or self.bucket}/{name}", **options)

    def sizes(self) -> dict[str, int]:
        """Names of the objects, and their bytes."""
        found = self.client.list_objects_v2(Bucket=self.bucket).get("Contents", [])
        return {item["Key"]: item["Size"] for item in found}

    def read(self, key: str) -> bytes:
        return bytes(self.client.get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def write(self, key: str, content: bytes) -> None:
        self.client.put_object(Bucket=self.bucket, Key=key, Body=content)

    def drop_bucket(self) -> None:
        for key in self.sizes():
            self.client.delete_object(Bucket=self.bucket, Key=key)
        self.client.delete_bucket(Bucket=self.bucket)

    def refuse(self) -> None:
        """From now on nobody's key is good."""
        self._refusing = True
        self._allow(b"0")

    @staticmethod
    def when(so: Callable[[], bool], then: Callable[[], None]) -> threading.Thread:
        """Do something in the middle of a run, from another thread."""

        def wait() -> None:
            while not so():
                time.sleep(0.005)
            then()

        thread = threading.Thread(target=wait, daemon=True)
        thread.start()
        return thread

    def stop(self) -> None:
        if self._refusing:
            # The whole process's servers would refuse otherwise.
            self._allow(b"inf")
        self._server.stop()

    def _allow(self, calls: bytes) -> None:
        requests.post(f"{self.url}/moto-api/reset-auth", data=calls, timeout=10).raise_for_status()
