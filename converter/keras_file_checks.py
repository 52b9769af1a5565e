"""What a file of Keras may hold before anything of it is built or unpacked: Keras' own layers, and no more than its size says."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bundle.engine.keras_any import import_keras
from bundle.errors import BundleError
from bundle.store import MAX_TEXT_BYTES
from converter import keras2


def sizes(archive: zipfile.ZipFile, path: Path) -> None:
    """Raises BundleError for what would fill the memory: Keras does not pack its weights, and packed by others they hardly shrink."""
    for name in ("config.json", "metadata.json"):
        if archive.getinfo(name).file_size > MAX_TEXT_BYTES:
            raise BundleError(f"{path}: its {name} is larger than {MAX_TEXT_BYTES} bytes; save it again")
    whole = sum(member.file_size for member in archive.infolist())
    if whole > 10 * path.stat().st_size + MAX_TEXT_BYTES:
        raise BundleError(f"{path}: unpacks to {whole} bytes from {path.stat().st_size}; save it again")


def layers(content: Mapping[str, Any], where: str) -> None:
    """Raises BundleError with the name of the first layer that is code or not Keras' own."""
    if isinstance(content.get("config"), dict):
        _check_layer(content, where)
    waiting: list[Any] = [content]
    while waiting:
        found = waiting.pop()
        if isinstance(found, list):
            waiting.extend(found)
        elif isinstance(found, dict):
            waiting.extend(found.values())
            if isinstance(found.get("config"), dict) and "class_name" in found:
                _check_code(found, where)
                if "name" in found["config"]:
                    _check_layer(found, where)


def _check_code(found: Mapping[str, Any], where: str) -> None:
    kind = found["class_name"]
    if kind in ("Lambda", "__lambda__", "TorchModuleWrapper", "TFSMLayer"):
        name = found["config"].get("name", kind)
        raise BundleError(
            f"{where}: layer {name!r} ({kind}): is code in a file, which is never run; build the model without {kind} layers"
        )


def _check_layer(found: Mapping[str, Any], where: str) -> None:
    kind, module = str(found.get("class_name")), str(found.get("module", "keras.layers"))  # .h5 files name no modules
    keras = import_keras()
    own = module == "keras" or module.startswith(("keras.", "keras_"))
    if not own or not (hasattr(keras.layers, kind) or kind in keras2.MODELS or module != "keras.layers"):
        name = found["config"].get("name", kind)
        raise BundleError(
            f"{where}: layer {name!r} ({kind}): is no layer of Keras; layers of one's own are code, not weights"
        )
