"""Labels as other tools wrote them: lines, a TensorFlow label map, JSON."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.store import MAX_TEXT_BYTES

# Where exports, ours and others', keep theirs.
NEIGHBOURS = ("labels.txt", "output_labels.txt", "classification_labels.pbtxt", "labels.json")

# `item { id: 1 name: "cat" }`, `entry { target_class: 1 target_class_string: "n0123" }`, and the like.
_ITEM = re.compile(r"\b\w+\s*:?\s*\{([^{}]*)\}")
_FIELD = re.compile(r"""(\w+)\s*:\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d{1,9}\b)""")
_NAMES = ("display_name", "name", "label", "target_class_string", "class_name")
_NUMBERS = ("id", "index", "target_class", "label_id", "class_id")
# Teachable Machine and others number the lines.
_NUMBERED = re.compile(r"^(\d+)[\s:,]+(\S.*)$")


def beside(source: Path) -> Path | None:
    """The list of labels in the folder of `source`, if there is one."""
    return next((path for name in NEIGHBOURS if (path := source.parent / name).is_file()), None)


def read(path: Path) -> tuple[str, ...]:
    """In output order, each once. Raises BundleError."""
    if not path.is_file():
        raise BundleError(f"{path}: no such file; --labels takes the list of labels in output order")
    if path.stat().st_size > MAX_TEXT_BYTES:
        raise BundleError(f"{path}: {path.stat().st_size} bytes are no list of labels; one label a line wanted")
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
    except UnicodeDecodeError:
        raise BundleError(f"{path}: not UTF-8; save it as UTF-8, one label a line") from None
    if text[:1] in ("[", "{"):
        names = _json(path, text)
    else:
        names = _pbtxt(path, text) if path.suffix == ".pbtxt" or _ITEM.match(text) else _lines(text)
    names = [" ".join(name.split()) for name in names]
    if not names:
        raise BundleError(f"{path}: holds no labels; one a line, the items of a .pbtxt, or JSON wanted")
    if not all(names):
        raise BundleError(f"{path}: label {names.index('') + 1} is empty; one label a line wanted")
    return each_once(names)


def each_once(names: list[str]) -> tuple[str, ...]:
    """ImageNet has two cranes and two maillots; an answer must tell them apart: the second becomes `crane (2)`."""
    found: dict[str, None] = {}
    taken = set(names)
    for name in names:
        numbered = (f"{name} ({number})" for number in count(2))
        new = name if name not in found else next(other for other in numbered if other not in taken)
        taken.add(new)
        found[new] = None
    return tuple(found)


def _lines(text: str) -> list[str]:
    lines = text.split("\n") if text else []
    found = [_NUMBERED.match(line) for line in lines]
    if [match and int(match[1]) for match in found] == list(range(len(lines))):
        return [match[2] for match in found if match]
    return lines


def _pbtxt(path: Path, text: str) -> list[str]:
    """By the numbers of the items, where they have any; also one `label: "cat"` a line."""
    rows = [dict(_FIELD.findall(item)) for item in _ITEM.findall(text)]
    if not rows:
        return [_unquoted(word) for word in re.findall(r'^\s*\w+\s*:\s*("(?:[^"\\]|\\.)*")\s*$', text, re.MULTILINE)]
    names = [next((_unquoted(row[key]) for key in _NAMES if key in row), "") for row in rows]
    numbers = [next((int(row[key]) for key in _NUMBERS if key in row), None) for row in rows]
    if "" in names:
        raise BundleError(f"{path}: item {names.index('') + 1} has no name; {' or '.join(_NAMES)} wanted")
    numbered = [(number, name) for number, name in zip(numbers, names, strict=True) if number is not None]
    if len(numbered) < len(names):
        return names
    return _in_order(path, numbered, first=min(numbered)[0])


def _unquoted(word: str) -> str:
    """protobuf writes what is not ASCII as UTF-8 in octal: ä is \\303\\244."""
    plain = re.sub(rb"\\([0-7]{3}|.)", lambda found: _unescaped(found[1]), word[1:-1].encode())
    return plain.decode(errors="replace")


def _unescaped(found: bytes) -> bytes:
    return bytes([int(found, 8) & 255]) if len(found) == 3 else found


def _json(path: Path, text: str) -> list[str]:
    """A list; {"0": "cat"}; {"0": ["n0123", "cat"]} as Keras lists ImageNet; {"cat": 0} as its generators have it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: not JSON ({error}); a list, or labels by their number wanted") from None
    if isinstance(found, list):
        return [_name(path, value) for value in found]
    pairs = [(number, name) for name, number in found.items()] if all(map(_whole, found.values())) else found.items()
    strange = next((number for number, _ in pairs if not re.fullmatch(r"\d{1,9}", str(number), re.ASCII)), None)
    if strange is not None:
        raise BundleError(f"{path}: {strange!r} is no number of a label; a list, or labels by their number wanted")
    return _in_order(path, [(int(number), _name(path, value)) for number, value in pairs], first=0)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _name(path: Path, value: Any) -> str:
    """Of a synset ["n01440764", "tench"] the word."""
    word = value[-1] if isinstance(value, list) and value else value
    if not isinstance(word, str | int | float) or isinstance(word, bool):
        raise BundleError(f"{path}: {json.dumps(value)[:60]} is no label; words wanted")
    return str(word)


def _in_order(path: Path, pairs: Sequence[tuple[int, str]], *, first: int) -> list[str]:
    """Raises BundleError for a number that is missing or there twice."""
    names = dict(pairs)
    if len(names) < len(pairs):
        ((twice, _),) = Counter(number for number, _ in pairs).most_common(1)
        raise BundleError(f"{path}: two labels have the number {twice}; one for each number wanted")
    wanted = range(first, first + len(names))
    missing = next((number for number in wanted if number not in names), None)
    if missing is not None:
        raise BundleError(f"{path}: label {missing} is missing; one for each number from {first} on wanted")
    return [names[number] for number in wanted]
