"""What only the operator may do: POST /models/NAME/reload."""

import ipaddress

from flask import Blueprint, Request, Response, jsonify, request

from server import versions
from server.errors import Forbidden
from server.routes import models

blueprint = Blueprint("admin", __name__)

# A browser's page names its origin, a proxy on this machine whom it speaks for: neither is this machine itself.
_SPEAKS_FOR = ("Origin", "Forwarded", "X-Forwarded-For", "X-Real-IP")


@blueprint.post("/models/<name>/reload")
def reload(name: str) -> Response:
    """Answers when this process has done it; with several the parent then tells the others."""
    check(request)
    before = models().get(name).model.manifest.id
    changed = versions.reload(models(), name)
    told = versions.tell_others(models())
    after = models().get(name).model.manifest.id
    return jsonify({"name": name, "id": after, "before": before, "changed": changed, "others_told": told})


def check(asked: Request) -> None:
    """The one place that says who may. Raises Forbidden."""
    if not models().config.admin:
        raise Forbidden("this server takes no orders by HTTP; start it with --admin true, or send it a SIGHUP")
    address = ipaddress.ip_address(asked.remote_addr or "0.0.0.0")
    if not address.is_loopback or any(name in asked.headers for name in _SPEAKS_FOR):
        raise Forbidden("only this machine itself may ask for that, and no proxy or page for others")
