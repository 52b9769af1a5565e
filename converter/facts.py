"""What our own exports say of themselves, in their file or in the JSON beside it; all of it may be missing."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.store import MAX_TEXT_BYTES

# Written beside an export, and in a bundle.
BESIDE = ("export.json", "manifest.json")


@dataclass(frozen=True, kw_only=True)
class Facts:
    name: str | None = None
    labels: tuple[str, ...] | None = None
    scores: str | None = None
    thresholds: tuple[float, ...] | None = None
    resize: str | None = None


def beside(source: Path) -> Facts:
    """Of the first JSON in its folder that can be read."""
    for name in BESIDE:
        path = source.parent / name
        if path.is_file() and path.stat().st_size <= MAX_TEXT_BYTES:
            try:
                content = json.loads(path.read_text(encoding="utf-8"))
            except (ValueError, RecursionError):
                continue
            if isinstance(content, dict):
                return given(content)
    return Facts()


def of_onnx(model: Any) -> Facts:
    """From metadata_props, whose values are words or JSON."""
    return given({entry.key: _value(entry.value) for entry in model.metadata_props})


def given(content: Mapping[str, Any]) -> Facts:
    """What is there and of the right kind; preprocess.resize is taken as resize, too."""
    inner = content.get("preprocess")
    resize = content.get("resize") or (inner.get("resize") if isinstance(inner, dict) else None)
    labels: Any = content.get("labels")
    thresholds: Any = content.get("thresholds")
    return Facts(
        name=_word(content.get("name")),
        labels=tuple(map(str, labels)) if isinstance(labels, list) and labels else None,
        scores=_word(content.get("scores"), ("softmax", "sigmoid")),
        thresholds=tuple(map(float, thresholds)) if _numbers(thresholds) else None,
        resize=_word(resize, ("squash", "crop", "pad")),
    )


def merged(first: Facts, second: Facts) -> Facts:
    """What `first` leaves open is taken from `second`."""
    return Facts(**{key: value if value is not None else getattr(second, key) for key, value in vars(first).items()})


def _word(value: Any, choices: tuple[str, ...] = ()) -> str | None:
    return value if isinstance(value, str) and value and (not choices or value in choices) else None


def _numbers(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(number, int | float) and 0 <= number <= 1 for number in value)
    )


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text
