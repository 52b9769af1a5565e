"""Objects in S3: where they are, and reading and writing them, tried again while the storage does not answer."""

import functools
import re
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from bundle.errors import BundleError, MissingExtra, Unreachable

# Of storage that does not answer, or breaks off; the pauses between are 0.2 and 0.4 s.
TRIES, PAUSE_S = 3, 0.2

_PLACE = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([^\x00-\x1f\x7f]{1,1024}))?")
Anything = TypeVar("Anything")


@dataclass(frozen=True)
class Place:
    """A bucket and a key in it, without slashes at its ends."""

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    def __truediv__(self, name: str) -> "Place":
        return Place(self.bucket, f"{self.key}/{name}" if self.key else name)

    @property
    def parent(self) -> "Place":
        return Place(self.bucket, self.key.rpartition("/")[0])

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]


def place(uri: str) -> Place:
    """Raises BundleError."""
    found = _PLACE.fullmatch(uri.rstrip("/"))
    if not found or ".." in (found[2] or "").split("/"):
        raise BundleError(f"{uri}: wanted s3://BUCKET/FOLDER, with plain names")
    return Place(found[1], found[2] or "")


@functools.cache
def client(patience_s: float = 20, connections: int = 10) -> Any:
    """The storage as boto3 finds it: credentials, region and AWS_ENDPOINT_URL from the environment. Raises MissingExtra, BundleError."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise MissingExtra("s3:// needs boto3; install it with: pip install 'imago[serve]'") from None
    # One try each: what is tried again is the whole step, an answer that breaks off included.
    limits = Config(
        connect_timeout=min(5, patience_s),
        read_timeout=patience_s,
        retries={"total_max_attempts": 1},
        max_pool_connections=connections,
    )
    try:
        return boto3.session.Session().client("s3", config=limits)
    except (BotoCoreError, ValueError) as error:
        raise BundleError(f"s3: {error}; look at the AWS variables and profile") from error


class Missing(Exception):
    """No such object."""


class Refused(BundleError):
    """An answer that will stay; `reason` is the storage's own code."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text)
        self.reason = reason


def names(s3: Any, folder: Place) -> Iterator[str]:
    prefix = f"{folder.key}/" if folder.key else ""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=prefix, Delimiter="/")
    for page in pages:
        found = (item["Prefix"].removeprefix(prefix).rstrip("/") for item in page.get("CommonPrefixes", ()))
        yield from found


def objects(s3: Any, folder: Place) -> list[str]:
    """Names of the objects right under a folder."""
    prefix = f"{folder.key}/" if folder.key else ""

    def step() -> list[str]:
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=prefix, Delimiter="/")
        return [item["Key"].removeprefix(prefix) for page in pages for item in page.get("Contents", ())]

    return again(folder, step)


def modified(s3: Any, source: Place) -> float:
    """When the object was written, in seconds since 1970."""
    answer = again(source, lambda: s3.head_object(Bucket=source.bucket, Key=source.key))
    return float(answer["LastModified"].timestamp())


def delete(s3: Any, target: Place) -> None:
    """One that is gone is as good."""
    again(target, lambda: s3.delete_object(Bucket=target.bucket, Key=target.key))


def read(s3: Any, source: Place, limit: int) -> bytes:
    def step() -> bytes:
        answer = s3.get_object(Bucket=source.bucket, Key=source.key)
        with answer["Body"] as body:
            if not 0 <= answer.get("ContentLength", -1) <= limit:
                raise BundleError(
                    f"{source}: {answer.get('ContentLength')} bytes, at most {limit} wanted; push it again"
                )
            content: bytes = body.read()  # all of it: only then is a body that breaks off noticed
            return content

    return again(source, step)


def save(s3: Any, source: Place, path: Path, size: int) -> None:
    def step() -> None:
        answer = s3.get_object(Bucket=source.bucket, Key=source.key)
        with answer["Body"] as body, path.open("wb") as file:
            if answer.get("ContentLength") != size:
                raise BundleError(
                    f"{source}: {answer.get('ContentLength')} bytes, {size} wanted; push the bundle again"
                )
            shutil.copyfileobj(body, file, 1 << 20)

    again(source, step)


def write(s3: Any, target: Place, path: Path) -> None:
    def step() -> None:
        with path.open("rb") as file:
            s3.put_object(Bucket=target.bucket, Key=target.key, Body=file)

    again(target, step)


def put(s3: Any, target: Place, data: bytes) -> None:
    again(target, lambda: s3.put_object(Bucket=target.bucket, Key=target.key, Body=data))


def again(where: Place, step: Callable[[], Anything]) -> Anything:
    """Tries a step again while the storage does not answer. Raises Unreachable, or BundleError for an answer that will stay."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    reason = ""
    for attempt in range(TRIES):
        if attempt:
            time.sleep(PAUSE_S * 2 ** (attempt - 1))
        try:
            return step()
        except (BotoCoreError, HTTPError) as error:  # the latter where a body breaks off
            reason = type(error).__name__
        except ClientError as error:
            reason = str(error.response["Error"].get("Code"))
            status = error.response["ResponseMetadata"]["HTTPStatusCode"]
            if status < 500 and status != 429:
                missing = Missing() if status == 404 and reason in ("404", "NoSuchKey") else None
                text = f"{where}: the storage says {reason}; check the name and who may read it"
                raise Refused(text, reason) from missing
    raise Unreachable(f"{where}: the storage did not answer ({reason}, {TRIES} tries); try again later")
