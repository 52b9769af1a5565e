"""Who may: keys in files, one file for pictures, one for administration, one for metrics; none of them in a log or an answer."""

import hashlib
import hmac
import logging
import re
from dataclasses import dataclass, field
from pathlib import Path

from werkzeug.datastructures import Headers

from server.config import Config, ConfigError, flag
from server.errors import Forbidden, Unauthorized

log = logging.getLogger("imago.server")

SHORTEST = 16
LARGEST_FILE = 1 << 20

# Asked by machines that have no key; they say no more than yes or no.
OPEN = re.compile(r"/healthz|/readyz|/ping|/v2/health/[^/]+")
# Pages load without a key: a browser cannot send one when it follows a link. What they ask for then needs one.
PAGE = re.compile(r"/|/docs|/openapi\.json|/static/.*")
ADMIN = re.compile(r"/admin(/.*)?|/models/[^/]+/reload|/v2/repository/models/.*")


@dataclass
class KeyFile:
    """The digests of a file's keys; read again when the file was changed, so that keys are changed without a restart."""

    path: Path
    knob: str
    _stamp: tuple[int, ...] = ()
    _digests: tuple[bytes, ...] = field(default=(), repr=False)

    def load(self) -> None:
        """Raises ConfigError naming the line, never the key."""
        try:
            self._stamp = self._now()
            if self._stamp[1] > LARGEST_FILE:
                raise self._bad("more than 1 MB; wanted one key a line")
            lines = self.path.read_text("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise self._bad(f"cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8'})") from None
        keys = [self._key(number, line.strip()) for number, line in enumerate(lines, start=1)]
        if not any(keys):
            raise self._bad(f"there is no key in it; wanted one a line, of at least {SHORTEST} characters")
        self._digests = tuple(hashlib.sha256(key.encode()).digest() for key in keys if key)

    def has(self, keys: list[str]) -> bool:
        """Compares with every key, whichever is right, so that the time taken says nothing."""
        self._reload()
        found = False
        for key in keys:
            digest = hashlib.sha256(key.encode("utf-8", "replace")).digest()
            for known in self._digests:
                found |= hmac.compare_digest(known, digest)
        return found

    def _reload(self) -> None:
        """A file that went bad changes nothing: the keys that were good stay good."""
        before = self._stamp
        try:
            if self._now() != before:
                self.load()
                log.info("the keys of %s were read again", flag(self.knob))
        except (OSError, ConfigError) as error:
            if self._stamp != before:
                log.warning("the keys stay as they were: %s", error)

    def _now(self) -> tuple[int, ...]:
        status = self.path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _key(self, number: int, line: str) -> str:
        if not line or line.startswith("#"):
            return ""
        if len(line) < SHORTEST or not re.fullmatch(r"[!-~]+", line):
            wanted = f"at least {SHORTEST} visible ASCII characters without a space"
            raise self._bad(f"line {number}: no good key; wanted {wanted}")
        return line

    def _bad(self, words: str) -> ConfigError:
        return ConfigError(f"{flag(self.knob)}: {self.path}: {words}")


class Keys:
    """The files that the configuration names. Raises ConfigError where one is no good."""

    def __init__(self, config: Config) -> None:
        self._files: dict[str, KeyFile] = {}
        for knob in ("api_keys", "admin_keys", "metrics_keys"):
            if path := getattr(config, knob):
                self._files[knob] = KeyFile(path, knob)
                self._files[knob].load()

    def check(self, method: str, path: str, headers: Headers) -> None:
        """Raises Unauthorized, Forbidden. `path` is the route's rule where there is one."""
        knob = knob_of(method, path)
        file = self._files.get(knob)
        if knob == "admin_keys" and not file:
            raise Forbidden("administration is switched off here; name a file of keys with --admin-keys")
        if file and not file.has(_given(headers)):
            raise Unauthorized("no good key came with the request; send Authorization: Bearer KEY, or X-API-Key: KEY")


def knob_of(method: str, path: str) -> str:
    """The knob whose keys open this route; empty where none is needed."""
    if ADMIN.fullmatch(path):
        return "admin_keys"
    if path == "/metrics":
        return "metrics_keys"
    if OPEN.fullmatch(path) or (method in ("GET", "HEAD") and PAGE.fullmatch(path)):
        return ""
    return "api_keys"


def _given(headers: Headers) -> list[str]:
    scheme, _, key = headers.get("Authorization", "").partition(" ")
    return [key.strip() if scheme.lower() == "bearer" else "", headers.get("X-API-Key", "")]
