"""Pictures that a request names instead of holding them: {"url": ...} and {"s3": ...}, where the knobs list the host or bucket."""

import re
import threading
import time
from typing import Any

from flask import Flask, current_app

from bundle import storage
from bundle.errors import Busy
from server import allow, fetch
from server.config import Config
from server.errors import BadRequest, BucketNotAllowed, FetchFailed, FetchTooSlow, UrlNotAllowed

KINDS = ("url", "s3")
_OBJECT = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])/(.+)", re.DOTALL)


class Sources:
    """At most half of the request threads wait for others' servers; the rest go on with pictures that are here."""

    def __init__(self, config: Config, resolve: fetch.Resolve = fetch.addresses) -> None:
        self.config = config
        self.max_bytes = config.max_body_mb << 20
        listed = tuple(entry for text in config.url_allow if (entry := allow.entry(text)))
        self._fetcher = fetch.Fetcher(listed=listed, max_bytes=self.max_bytes, resolve=resolve)
        self._places = threading.BoundedSemaphore(max(1, config.threads // 2))

    def read(self, kind: str, text: str) -> bytes:
        """Raises BadRequest, UrlNotAllowed, BucketNotAllowed, FetchFailed, FetchTooSlow, Busy."""
        if not self._places.acquire(blocking=False):
            raise Busy("too many pictures are being fetched already; send it again in a second")
        try:
            return self._url(text) if kind == "url" else self._s3(text)
        finally:
            self._places.release()

    def _url(self, text: str) -> bytes:
        allow.url(text)
        if not self.config.url_allow:
            raise UrlNotAllowed("this server fetches no pictures; send the picture itself")
        return self._fetcher.get(text)

    def _s3(self, text: str) -> bytes:
        found = _OBJECT.fullmatch(text)
        if not found or len(found[2].encode("utf-8", "replace")) > 1024 or not found[2].isprintable():
            raise BadRequest("s3 names no object; wanted s3://BUCKET/KEY, the key of 1024 bytes at most")
        if found[1] not in self.config.s3_allow:
            raise BucketNotAllowed(f"the bucket {found[1]} is not on this server's list")
        return self._object(found[1], found[2])

    def _object(self, bucket: str, key: str) -> bytes:
        from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError
        from urllib3.exceptions import HTTPError

        until = time.monotonic() + fetch.DEADLINE_S
        try:
            answer = storage.client(fetch.DEADLINE_S).get_object(Bucket=bucket, Key=key)
            with answer["Body"] as body:
                size = answer.get("ContentLength", self.max_bytes + 1)
                if size > self.max_bytes:
                    raise FetchFailed(f"the picture is larger than {self.config.max_body_mb} MB; send a smaller one")
                return _read(body, size, until)
        except (ConnectTimeoutError, ReadTimeoutError):
            raise FetchTooSlow(f"the bucket {bucket} did not give the picture in time") from None
        except ClientError as error:
            raise FetchFailed(f"the bucket {bucket} gave no picture ({error.response['Error'].get('Code')})") from None
        except (BotoCoreError, HTTPError) as error:
            raise FetchFailed(f"the bucket {bucket} gave no picture ({type(error).__name__})") from None


def install(app: Flask, config: Config) -> None:
    app.extensions["imago.sources"] = Sources(config)


def named(content: Any) -> bytes | None:
    """The picture that a JSON object names by `url` or `s3`; None where it names none. Raises as Sources.read does."""
    kinds = [kind for kind in KINDS if isinstance(content, dict) and kind in content]
    if not kinds:
        return None
    if len(kinds) > 1 or "image" in content or not isinstance(content[kinds[0]], str):
        raise BadRequest("wanted one of image, url and s3, and a string for it")
    sources: Sources = current_app.extensions["imago.sources"]
    return sources.read(kinds[0], content[kinds[0]])


def _read(body: Any, size: int, until: float) -> bytes:
    data = bytearray()
    while len(data) < size:
        if time.monotonic() > until:
            raise FetchTooSlow("the storage did not give the picture in time")
        chunk = body.read(min(size - len(data), 64 << 10))
        if not chunk:
            break
        data += chunk
    return bytes(data)
