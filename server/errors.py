"""What a client did wrong on the way in, and the one shape in which every error goes out (RFC 9457)."""

import json
import logging
from http import HTTPStatus
from typing import Any

from bundle import errors as domain
from bundle.errors import ImagoError

log = logging.getLogger("imago.server")


class BadRequest(ImagoError):
    """A request that cannot be understood."""

    code = "bad-request"


class Unauthorized(ImagoError):
    """A route that wants a key, and none that is good."""

    code = "unauthorized"


class Forbidden(ImagoError):
    """A route that is switched off here."""

    code = "forbidden"


class CrossOrigin(ImagoError):
    """A post from a page of another origin that is not listed."""

    code = "cross-origin"


class UnsupportedContent(ImagoError):
    """A body of a kind that this route does not take."""

    code = "unsupported-content-type"


class BodyTooLarge(ImagoError):
    """More bytes than a request may have; told before they are read, where the client says so."""

    code = "too-large"


class HeadTooLarge(ImagoError):
    """A request line or header fields that go on and on."""

    code = "header-too-large"


class NotAcceptable(ImagoError):
    """An answer of a type that there is none of."""

    code = "not-acceptable"


class TooSlow(ImagoError):
    """A request that was not whole at its deadline."""

    code = "too-slow"


class UnknownModel(ImagoError):
    """A name that is not served."""

    code = "unknown-model"


class NotFound(ImagoError):
    """Something that may be at this address, and is not on this server."""

    code = "not-found"


class UrlNotAllowed(ImagoError):
    """A picture's address on a host, or at an address, that this server does not fetch from."""

    code = "url-not-allowed"


class BucketNotAllowed(ImagoError):
    """A picture in a bucket that this server does not read."""

    code = "s3-not-allowed"


class FetchFailed(ImagoError):
    """The picture's own server or storage gave none."""

    code = "fetch-failed"


class FetchTooSlow(ImagoError):
    """The picture's own server or storage did not give it in time."""

    code = "fetch-too-slow"


class VersionRefused(ImagoError):
    """A new version that does not hold; the old one stays."""

    code = "version-refused"


class NotKept(ImagoError):
    """Feedback that there is no room for now."""

    code = "not-kept"


class NotReady(ImagoError):
    """Models are still loading, or the server is going down."""

    code = "not-ready"


# The only place where a domain error gets a status.
STATUS: dict[type[Exception], int] = {
    BadRequest: 400,
    Unauthorized: 401,
    Forbidden: 403,
    CrossOrigin: 403,
    BucketNotAllowed: 403,
    UrlNotAllowed: 403,
    UnknownModel: 404,
    NotFound: 404,
    NotAcceptable: 406,
    TooSlow: 408,
    VersionRefused: 409,
    BodyTooLarge: 413,
    domain.TooManyPixels: 413,
    domain.NotAPicture: 415,
    UnsupportedContent: 415,
    domain.BadPicture: 422,
    FetchFailed: 422,
    HeadTooLarge: 431,
    domain.Busy: 503,
    NotReady: 503,
    NotKept: 503,
    domain.Expired: 504,
    FetchTooSlow: 504,
}


def problem(error: ImagoError, request_id: str) -> dict[str, Any]:
    """The error as a problem object; its status is in it, so a picture's slot in a list can hold one too."""
    return shape(STATUS[type(error)], error.code, str(error), request_id)


def failure(error: Exception, request_id: str) -> dict[str, Any]:
    """Ours by the table; anything else is our own fault: a trace for the log, none for the client."""
    if isinstance(error, ImagoError) and type(error) in STATUS:
        return problem(error, request_id)
    log.error("unexpected error %s", request_id, exc_info=error)
    return shape(500, "internal", "something went wrong on the server; its log has the request id", request_id)


def shape(status: int, code: str, detail: str, request_id: str) -> dict[str, Any]:
    return {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        "request_id": request_id,
    }


def refusal(error: ImagoError, request_id: str, *, connection: str) -> bytes:
    """The error as a whole HTTP answer, for who has no application at hand."""
    found = problem(error, request_id)
    body = json.dumps(found).encode()
    lines = [
        f"HTTP/1.1 {found['status']} {found['title']}",
        "Content-Type: application/problem+json",
        f"Content-Length: {len(body)}",
        f"Connection: {connection}",
        f"X-Request-ID: {request_id}",
        "X-Content-Type-Options: nosniff",
        "Cache-Control: no-store",
        *(["Retry-After: 1"] if found["status"] == 503 else []),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body
