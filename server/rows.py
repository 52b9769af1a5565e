"""The one path of a request's pictures, whatever protocol they came by: prepare, queue, engine, rows of scores or documents."""

import queue
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from dataclasses import replace
from typing import Any

import numpy as np
from flask import request

from bundle.errors import Expired, PictureError
from bundle.model import Model
from bundle.xml.decode import Piece
from bundle.xml.model import Converted, XmlModel
from bundle.xml.model import Picture as Pixels
from server import stages
from server.documents import Conversion, How
from server.errors import BadRequest
from server.models import Models, Served

# As many as a form may have parts.
MAX_PICTURES = 64

# As a file has it, or uint8 (h, w, 3) as the model wants it.
Picture = bytes | np.ndarray
Outcome = np.ndarray | PictureError
Document = Converted | PictureError


def admit(models: Models, name: str | None, kind: str | None = None) -> Served:
    """Before anything of the body is looked at. Raises NotReady, UnknownModel, also for a model of another kind, and
    Expired for one who waited too long."""
    served = models.get(name, kind)
    served.check(kind)
    in_time(models)
    return served


def in_time(models: Models) -> float:
    """What is left of the request's deadline, in seconds. Raises Expired."""
    return models.left_s(request.environ["imago.start"])


def each(models: Models, served: Served, pictures: Sequence[Picture]) -> list[Outcome]:
    """A row of scores for each picture, or why it has none. Raises BadRequest, Busy, Expired, which are the request's own."""
    model = served.classifier
    return _each(models, served, pictures, lambda picture: _prepared(models, model, picture))


def documents(models: Models, served: Served, pictures: Sequence[Picture], how: How) -> list[Document]:
    """A document for each picture, or why it has none. Raises as `each`."""
    return _each(models, served, pictures, lambda picture: conversion(models, served, picture, how))


def every(models: Models, served: Served, pictures: Sequence[Picture]) -> list[np.ndarray]:
    """As `each`, for protocols that have no place for one picture's error: the first fails the request."""
    return _good(each(models, served, pictures))


def every_document(models: Models, served: Served, pictures: Sequence[Picture]) -> list[Converted]:
    """The same of documents."""
    return _good(documents(models, served, pictures, How()))


def streamed(models: Models, served: Served, picture: Picture, how: How) -> Iterator[Piece | Converted]:
    """The pieces of one document while it is made, then the whole. Raises PictureError, Busy, Expired, before the first or later."""
    said: queue.SimpleQueue[Piece | None] = queue.SimpleQueue()
    item = replace(conversion(models, served, picture, how), say=said.put)
    left_s = in_time(models)
    with served.pool.holding(item, timeout_s=left_s, gone=item.gone) as job:
        job.row.add_done_callback(lambda _: said.put(None))
        try:
            while (piece := said.get(timeout=max(0.0, job.deadline - time.monotonic()))) is not None:
                yield piece
            yield job.row.result()
        except (queue.Empty, CancelledError):
            raise Expired(f"no answer within {left_s:g} s; send it again later") from None


def conversion(models: Models, served: Served, picture: Picture, how: How) -> Conversion:
    """Raises PictureError."""
    until = request.environ["imago.start"] + models.config.deadline_ms / 1000
    made = _prepared(models, served.converter, picture)
    return Conversion(picture=made, how=how, until=until, gone=request.environ["imago.gone"])


def _each(
    models: Models, served: Served, pictures: Sequence[Picture], made: Callable[[Picture], Any]
) -> list[Any | PictureError]:
    if not 1 <= len(pictures) <= MAX_PICTURES:
        raise BadRequest(f"{len(pictures)} pictures in one request; wanted 1 to {MAX_PICTURES}, send several requests")
    slots: list[PictureError | None] = []
    left_s = in_time(models)
    gone = request.environ["imago.gone"]
    rows = iter(served.pool.rows(_items(pictures, made, slots), timeout_s=left_s, gone=gone))
    return [slot or next(rows) for slot in slots]


def _good(outcomes: list[Any | PictureError]) -> list[Any]:
    for outcome in outcomes:
        if isinstance(outcome, PictureError):
            raise outcome
    return outcomes


def _items(
    pictures: Sequence[Picture], made: Callable[[Picture], Any], slots: list[PictureError | None]
) -> Iterator[Any]:
    """What the pool runs for each of the good ones; a slot for each, with the error of a bad one."""
    for picture in pictures:
        try:
            item = made(picture)
        except PictureError as error:
            slots.append(type(error)(str(error)))  # the traceback of this one holds what was decoded of the picture
            continue
        slots.append(None)
        yield item


def _prepared(models: Models, model: Model | XmlModel, picture: Picture) -> Any:
    """What the model wants; pixels that came as numbers are what they are. Raises PictureError, Busy, Expired."""
    left_s = in_time(models)
    if not isinstance(picture, bytes):
        return picture if isinstance(model, Model) else Pixels(picture)
    with stages.decoding():
        header: Any = model.header(picture)
        with models.room.hold(header.held, timeout_s=left_s, gone=request.environ["imago.gone"]):
            return model.pixels(header)
