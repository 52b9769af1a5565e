"""JSON as it comes from strangers, and base64 in it; knows no request and no picture.

Refused besides what is no JSON: deep nesting, a key that is there twice or goes on and on, numbers that are none,
half a surrogate pair, and any encoding but plain UTF-8.
"""

import base64
import binascii
import json
import math
from collections import Counter
from typing import Any

from server.errors import BadRequest

# The deepest request of any protocol, a tensor of V2 in nested lists, has 7 levels.
MAX_DEPTH = 32
MAX_KEY = 256
# What a value costs in memory: an empty list has 2 letters and takes 64 bytes, so 32 MB of them would take a gigabyte.
# Seven pictures of 299 x 299 as nested lists are fewer.
MAX_STRINGS, MAX_LISTS, MAX_VALUES = 10_000, 700_000, 2_000_000

# Only what opens, closes and separates is left, and of brackets one kind: curly ones count as square ones.
_TO_SQUARE = bytes.maketrans(b"{}", b"[]")
_NO_MARK = bytes(set(range(256)) - set(b'[]{}",'))
# The letters of the URL-safe alphabet, and the line breaks that `base64` and MIME put in.
_TO_STANDARD = {ord("-"): "+", ord("_"): "/", **dict.fromkeys(map(ord, " \t\r\n"))}


def read(body: bytes) -> Any:
    """The content of a JSON text. Raises BadRequest."""
    return _read(body, _no_constant)


def read_with_nan(body: bytes) -> Any:
    """As `read`, but NaN, Infinity and -Infinity are numbers, as TensorFlow Serving has them."""
    return _read(body, float)


def from_base64(text: Any, where: str) -> bytes:
    """The standard or the URL-safe alphabet, padded, line breaks or none; a data: URL too. Raises BadRequest."""
    if not isinstance(text, str):
        raise BadRequest(f"{where} is no string; wanted base64")
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        return base64.b64decode(text.translate(_TO_STANDARD), validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest(f"{where} is no base64; wanted the standard or the URL-safe alphabet, padded") from None


def _read(body: bytes, constant: Any) -> Any:
    _check_marks(body)
    try:
        text = body.decode()
        content = json.loads(text, parse_constant=constant, parse_float=_finite, object_pairs_hook=_object)
        if "\\u" in text:
            json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise BadRequest("the body is no JSON: a string has half of a surrogate pair; send both or none") from None
    except UnicodeDecodeError:
        raise BadRequest("the body is no JSON in UTF-8; send it in that encoding") from None
    except (ValueError, RecursionError):
        raise BadRequest("the body is no JSON; send an object, in UTF-8 without a byte order mark") from None
    return content


def _check_marks(body: bytes) -> None:
    """How many values there are and how deep, before a parser sees them."""
    marks = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(_TO_SQUARE, _NO_MARK)
    _check_count(marks.count(b'"'), 2 * MAX_STRINGS, "strings")
    marks = b"".join(marks.split(b'"')[::2])  # outside of strings
    _check_count(marks.count(b"["), MAX_LISTS, "lists and objects")
    _check_count(marks.count(b","), MAX_VALUES, "values")
    _check_depth(marks.replace(b",", b""))


def _check_count(count: int, most: int, what: str) -> None:
    if count > most:
        raise BadRequest(f"the body has too many {what} for JSON; send fewer pictures, or files in place of pixels")


def _check_depth(brackets: bytes) -> None:
    """Each turn takes the innermost pairs away, so what is left is deeper, or not closed."""
    if brackets.count(b"[") != brackets.count(b"]"):
        raise BadRequest("the body is no JSON: as many brackets are wanted to close as to open")
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    if brackets:
        raise BadRequest(f"the body is no JSON, or nested deeper than {MAX_DEPTH} levels; send it flatter")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise BadRequest(f"an object has the key {ascii(twice[:40])} twice; send each key once")
    if any(len(name) > MAX_KEY for name in content):
        raise BadRequest(f"an object has a key of more than {MAX_KEY} letters; send a shorter one")
    return content


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise BadRequest(f"{text[:20]} is too large for a number; send one that fits 64 bits")
    return value


def _no_constant(text: str) -> float:
    raise BadRequest(f"{text} is no number in JSON; send a finite one")
