"""Labels as other tools wrote them: lines, a TensorFlow label map, JSON."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.errors import BundleError
from bundle.store import MAX_TEXT_BYTES

# Where exports, ours and others', keep theirs.
NEIGHBOURS = ("labels.txt", "output_labels.txt", "classification_labels.pbtxt", "labels.json")

# `item { id: 1 name: "cat" }`, `entry { target_class: 1 target_class_string: "n0123" }`, and the like.
_ITEM = re.compile(r"\b\w+\s*:?\s*\{([^{}]*)\}")
_FIELD = re.compile(r"""(\w+)\s*:\s*("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|-?\d+)""")
_NAMES = ("display_name", "name", "label", "target_class_string", "class_name")
_NUMBERS = ("id", "index", "target_class", "label_id", "class_id")
# Teachable Machine and others number the lines.
_NUMBERED = re.compile(r"^(\d+)[\s:,]+(\S.*)$")


def beside(source: Path) -> Path | None:
    """The list of labels in the folder of `source`, if there is one."""
    return next((path for name in NEIGHBOURS if (path := source.parent / name).is_file()), None)


def read(path: Path) -> tuple[str, ...]:
    """In output order, each once. Raises BundleError."""
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise BundleError(f"{path}: {path.stat().st_size} bytes are no list of labels; one label a line wanted")
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file; --labels takes the list of labels in output order") from None
    except UnicodeDecodeError:
        raise BundleError(f"{path}: not UTF-8; save it as UTF-8, one label a line") from None
    if text.lstrip()[:1] in ("[", "{"):
        names = _json(path, text)
    else:
        names = _pbtxt(path, text) if path.suffix == ".pbtxt" or _ITEM.match(text) else _lines(text)
    names = [" ".join(name.split()) for name in names]
    if not names or not all(names):
        raise BundleError(f"{path}: label {names.index('') + 1 if names else 1} is empty; one label a line wanted")
    return each_once(names)


def each_once(names: list[str]) -> tuple[str, ...]:
    """ImageNet has two cranes and two maillots; an answer must tell them apart."""
    return tuple(
        f"{name} ({names[:at].count(name) + 1})" if name in names[:at] else name for at, name in enumerate(names)
    )


def _lines(text: str) -> list[str]:
    lines = text.strip("\n\r").splitlines()
    found = [_NUMBERED.match(line) for line in lines]
    if [match and int(match[1]) for match in found] == list(range(len(lines))):
        return [match[2] for match in found if match]
    return lines


def _pbtxt(path: Path, text: str) -> list[str]:
    """By the numbers of the items, where they have any; also one `label: "cat"` a line."""
    rows = [dict(_FIELD.findall(item)) for item in _ITEM.findall(text)]
    if not rows:
        return [_unquoted(word) for word in re.findall(r'^\s*\w+\s*:\s*("(?:[^"\\]|\\.)*")\s*$', text, re.MULTILINE)]
    names = [next((_unquoted(row[key]) for key in _NAMES if key in row), None) for row in rows]
    numbers = [next((int(row[key]) for key in _NUMBERS if key in row), None) for row in rows]
    if None in names:
        raise BundleError(f"{path}: item {names.index(None) + 1} has no name; {' or '.join(_NAMES)} wanted")
    if None in numbers:
        return [name for name in names if name]
    by_number = {number: name for number, name in zip(numbers, names, strict=True) if number is not None and name}
    return _in_order(path, by_number, first=min(by_number))


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1])


def _json(path: Path, text: str) -> list[str]:
    """A list; {"0": "cat"}; {"0": ["n0123", "cat"]} as Keras lists ImageNet; {"cat": 0} as its generators have it."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if text.lstrip().startswith("["):
            raise BundleError(f"{path}: not JSON ({error}); a list of labels wanted") from None
        raise BundleError(f"{path}: not JSON ({error}); a list, or labels by their number wanted") from None
    if isinstance(found, dict) and all(_whole(value) for value in found.values()):
        found = {number: name for name, number in found.items()}
    if isinstance(found, dict):
        return _in_order(
            path, {int(key): _name(value) for key, value in found.items() if str(key).isdecimal()}, first=0
        )
    return [_name(value) for value in found]


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _name(value: Any) -> str:
    """Of a synset ["n01440764", "tench"] the word."""
    return str(value[-1] if isinstance(value, list) and value else value)


def _in_order(path: Path, names: Mapping[int, str], *, first: int) -> list[str]:
    wanted = range(first, first + len(names))
    if not names or sorted(names) != list(wanted):
        missing = next((number for number in wanted if number not in names), first)
        raise BundleError(f"{path}: label {missing} is missing; one for each number from {first} on wanted")
    return [names[number] for number in wanted]
