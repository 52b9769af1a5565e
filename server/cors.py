"""Pages of other origins: none may post here or read an answer, but those that the configuration lists."""

from urllib.parse import urlsplit

from flask import Request, Response

from server.errors import CrossOrigin

SAFE = ("GET", "HEAD", "OPTIONS")
ALLOWED = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type, Inference-Header-Content-Length, X-API-Key, X-Request-ID, traceparent",
    "Access-Control-Max-Age": "600",
}
EXPOSED = "Inference-Header-Content-Length, Retry-After, X-Request-ID, traceparent, X-Imago-Sure, X-Imago-Score"


def preflight(request: Request, origins: tuple[str, ...]) -> Response | None:
    """The answer to a browser that asks whether a listed origin may; None for every other request."""
    asks = request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers
    if asks and request.headers.get("Origin") in origins:
        return Response(status=204, headers=ALLOWED)
    return None


def check(request: Request, origins: tuple[str, ...]) -> None:
    """Raises CrossOrigin. A program that is no browser sends no Origin, and is let through."""
    origin = request.headers.get("Origin")
    site = request.headers.get("Sec-Fetch-Site", "")
    if request.method in SAFE or origin in origins:
        return
    if origin is None:
        foreign = site in ("cross-site", "same-site")
    else:
        # A browser's word for its own page holds behind a proxy that changes Host, too; no page can forge it.
        foreign = site != "same-origin" and not _same(origin, request.headers.get("Host", ""))
    if foreign:
        raise CrossOrigin("a page of another origin sent this; list its origin in --cors-origins if it may")


def allow(request: Request, response: Response, origins: tuple[str, ...]) -> None:
    """Lets a listed origin's page read the answer; never with credentials, so no browser sends cookies or logins along."""
    if not origins:
        return
    response.headers.add("Vary", "Origin")
    origin = request.headers.get("Origin")
    if origin in origins:
        response.headers["Access-Control-Allow-Origin"] = origin
        response.headers["Access-Control-Expose-Headers"] = EXPOSED


def _same(origin: str, host: str) -> bool:
    """Whether host and port are those that the request was sent to; the scheme may be a proxy's."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not parts.netloc:
        return False
    usual = ":443" if parts.scheme == "https" else ":80"
    return parts.netloc.lower().removesuffix(usual) == host.lower().removesuffix(usual)
