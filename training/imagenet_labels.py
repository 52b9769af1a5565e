"""The names of ImageNet's 1,000 classes: from a file, or from where Keras keeps them."""

import json
import re
from pathlib import Path

from bundle.errors import DataError

# Published beside the weights of keras.applications; the hash is the one that Keras checks.
_URL = "https://storage.googleapis.com/download.tensorflow.org/data/imagenet_class_index.json"
_MD5 = "c2c37ea517e94d9795004a39431a14cb"

# Lists often number their lines.
_INDEX = re.compile(r"^\s*\d+[\s:,]+")


def read(given: Path | None, weights: str, outputs: int) -> tuple[str, ...]:
    """In output order, each once. Raises DataError where no list is at hand, or one of another length."""
    beside = Path(weights).with_name("imagenet_labels.txt")
    path = given or (beside if beside.is_file() else None)
    if path is None:
        return _fetched()
    try:
        names = [_INDEX.sub("", line).strip() for line in path.read_text(encoding="utf-8").strip("\n").split("\n")]
    except (OSError, UnicodeDecodeError):
        raise DataError(f"{path}: cannot be read; --labels takes a UTF-8 file with one label a line") from None
    if len(names) == outputs + 1 and names[0] == "background":  # TensorFlow's own lists have one class more
        names = names[1:]
    if len(names) != outputs:
        raise DataError(f"{path}: {len(names)} labels for a model with {outputs} outputs; one label a line wanted")
    return _each_once(names)


def _fetched() -> tuple[str, ...]:
    from bundle.engine.keras_any import import_keras

    try:
        index = import_keras().utils.get_file("imagenet_class_index.json", _URL, cache_subdir="models", file_hash=_MD5)
    except Exception:  # Keras raises a plain Exception
        raise DataError(
            "the ImageNet labels could not be fetched (is this machine on the internet?); give a file with --labels FILE"
        ) from None
    classes = json.loads(Path(index).read_text())
    return _each_once([classes[str(at)][1] for at in range(len(classes))])


def _each_once(names: list[str]) -> tuple[str, ...]:
    """ImageNet has two cranes and two maillots; an answer must tell them apart."""
    return tuple(
        f"{name} ({names[:at].count(name) + 1})" if name in names[:at] else name for at, name in enumerate(names)
    )
