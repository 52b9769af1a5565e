"""The one path of a request's pictures, whatever protocol they came by: prepare, queue, engine, rows of scores."""

from collections.abc import Iterator, Sequence

import numpy as np
from flask import request

from bundle.errors import PictureError
from server import stages
from server.errors import BadRequest
from server.models import Models, Served

# As many as a form may have parts.
MAX_PICTURES = 64

# As a file has it, or uint8 (h, w, 3) as the model wants it.
Picture = bytes | np.ndarray
Outcome = np.ndarray | PictureError


def admit(models: Models, name: str | None) -> Served:
    """Before anything of the body is looked at. Raises NotReady, UnknownModel, Expired for one who waited too long."""
    served = models.get(name)
    in_time(models)
    return served


def in_time(models: Models) -> float:
    """What is left of the request's deadline, in seconds. Raises Expired."""
    return models.left_s(request.environ["imago.start"])


def each(models: Models, served: Served, pictures: Sequence[Picture]) -> list[Outcome]:
    """A row of scores for each picture, or why it has none. Raises BadRequest, Busy, Expired, which are the request's own."""
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise BadRequest(f"{len(pictures)} pictures in one request; wanted 1 to {MAX_PICTURES}, send several requests")
    slots: list[PictureError | None] = []
    left_s = in_time(models)
    gone = request.environ["imago.gone"]
    rows = iter(served.pool.rows(_prepared(models, served, pictures, slots), timeout_s=left_s, gone=gone))
    return [slot or next(rows) for slot in slots]


def every(models: Models, served: Served, pictures: Sequence[Picture]) -> list[np.ndarray]:
    """As `each`, for protocols that have no place for one picture's error: the first fails the request."""
    rows = []
    for outcome in each(models, served, pictures):
        if isinstance(outcome, PictureError):
            raise outcome
        rows.append(outcome)
    return rows


def _prepared(
    models: Models, served: Served, pictures: Sequence[Picture], slots: list[PictureError | None]
) -> Iterator[np.ndarray]:
    """The pixels of the good ones; a slot for each, with the error of a bad one."""
    for picture in pictures:
        try:
            pixels = _pixels(models, served, picture)
        except PictureError as error:
            slots.append(type(error)(str(error)))  # the traceback of this one holds what was decoded of the picture
            continue
        slots.append(None)
        yield pixels


def _pixels(models: Models, served: Served, picture: Picture) -> np.ndarray:
    """Raises PictureError, Busy, Expired."""
    left_s = in_time(models)
    if not isinstance(picture, bytes):
        return picture
    with stages.decoding():
        header = served.model.header(picture)
        with models.room.hold(header.held, timeout_s=left_s, gone=request.environ["imago.gone"]):
            return served.model.pixels(header)
