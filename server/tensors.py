"""Tensors of V1 and V2 as they come, in nested lists or in bytes: checked, and as the pixels or pictures they stand for."""

import math
import struct
from itertools import chain
from typing import Any

import numpy as np

from server.errors import BadRequest

# The datatypes of V2 that hold numbers, little-endian.
NUMBERS = {
    **{f"UINT{bits}": f"<u{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"INT{bits}": f"<i{bits // 8}" for bits in (8, 16, 32, 64)},
    **{f"FP{bits}": f"<f{bits // 8}" for bits in (16, 32, 64)},
}


def flatten(data: Any, where: str) -> tuple[tuple[int, ...], list[Any]]:
    """Nested lists as their dimensions and one list of what is in them. Raises BadRequest where they are ragged."""
    dims: list[int] = []
    flat = [data]
    while flat and isinstance(flat[0], list):
        if not all(isinstance(part, list) and len(part) == len(flat[0]) for part in flat):
            raise BadRequest(f"{where} is ragged; wanted lists of one length on each level")
        dims.append(len(flat[0]))
        flat = list(chain.from_iterable(flat))
    return tuple(dims), flat


def numbers(flat: list[Any], where: str) -> np.ndarray:
    """What a list holds, if it is numbers and nothing else. Raises BadRequest."""
    kinds = set(map(type, flat)) - {int, float}
    if kinds:
        raise BadRequest(f"{where} has a {sorted(kind.__name__ for kind in kinds)[0]} in it; wanted numbers only")
    try:
        return np.array(flat, np.float64)
    except OverflowError:
        raise BadRequest(f"{where} has a number that is too large; wanted 0 to 255") from None


def from_bytes(data: bytes, datatype: str, where: str) -> np.ndarray:
    """Numbers as they lie in memory, flat. Raises BadRequest."""
    kind = np.dtype(NUMBERS[datatype])
    if len(data) % kind.itemsize:
        raise BadRequest(f"{where} has {len(data)} bytes; wanted {kind.itemsize} for each {datatype}")
    return np.frombuffer(data, kind)


def pixels(values: np.ndarray, dims: tuple[int, ...], where: str) -> np.ndarray:
    """Levels of brightness as uint8 of these dimensions; other numbers are let in only where they are such levels."""
    if values.size != math.prod(dims):
        raise BadRequest(f"{where} has {values.size} numbers; its shape {list(dims)} wants {math.prod(dims)}")
    if values.dtype != np.uint8 and not ((values >= 0) & (values <= 255) & (values == np.floor(values))).all():
        raise BadRequest(f"{where} has numbers that are no pixels; wanted whole ones from 0 to 255, not scaled")
    return values.astype(np.uint8).reshape(dims)


def unpack(data: bytes, count: int, where: str) -> list[bytes]:
    """The elements of BYTES in the binary form: each behind its length, 4 bytes, little-endian. Raises BadRequest."""
    found, at = [], 0
    for _ in range(count):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            raise BadRequest(f"{where} ends within an element; wanted 4 bytes of length, then as many bytes, each time")
        found.append(data[at + 4 : end])
        at = end
    if at < len(data):
        raise BadRequest(f"{where} has {len(data) - at} bytes behind its elements; its shape wants {count} of them")
    return found


def pack(texts: list[str]) -> bytes:
    """The other way round."""
    encoded = [text.encode() for text in texts]
    return b"".join(struct.pack("<I", len(data)) + data for data in encoded)
