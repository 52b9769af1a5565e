"""Ids that run through: the request's own, and the trace that it is a part of (W3C Trace Context)."""

import re
import uuid

# A client's own request id is given back when it can do no harm in a header, a log or a page.
_SANE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")

# Version, trace id, parent id, flags; a version after 00 may have more fields, which are not ours to pass on.
_PARENT = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")


def request_id(given: str) -> str:
    """The client's own where it is sane, else a new one."""
    return given if _SANE_ID.fullmatch(given) else uuid.uuid4().hex


def parent(given: str) -> tuple[str, str]:
    """A traceparent to pass on and its trace id; both are empty where the given one is not valid."""
    found = _PARENT.fullmatch(given) if len(given) <= 256 else None
    if not found or (found[1] == "00" and found[5]):
        return "", ""
    return f"00-{found[2]}-{found[3]}-{found[4]}", found[2]
