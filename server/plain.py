"""Errors as clients of V1 and V2 know them: {"error": "..."}, and only the statuses that gRPC's codes become there."""

from typing import Any

from flask import Response, jsonify

# What a picture may be refused for is an invalid argument in those protocols, hence 400.
_ARGUMENT = {"not-a-picture", "bad-picture", "too-many-pixels"}


def speaks(path: str) -> bool:
    """Whether the path belongs to one of these protocols."""
    return f"{path}/".startswith(("/v1/", "/v2/"))


def answer(problem: dict[str, Any]) -> Response:
    response = jsonify({"error": problem["detail"]})
    response.status_code = 400 if problem["code"] in _ARGUMENT else problem["status"]
    return response
