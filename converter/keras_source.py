"""A classifier of Keras, of any version since 2, as the contract wants it: uint8 pixels (n, h, w, 3) in, scores (n, k) out."""

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle import canonical
from bundle.engine.keras_any import hushed, import_keras
from bundle.errors import BundleError
from bundle.store import MAX_TEXT_BYTES
from converter import h5_weights, keras2, keras_file_checks
from converter.about import reason
from converter.keras2 import Built, Part
from converter.keras2_layers import AUGMENTS
from converter.pixels import Around, Line

_HDF5 = b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True, kw_only=True)
class Network:
    """What a classifier looks like from outside."""

    model: Any  # keras.Model, one input and one output
    size: tuple[int, int] | None  # height and width; None: any
    small: bool  # takes 8-bit pixels
    begins: Line
    ends: str | None  # softmax or sigmoid; None: something else
    outputs: int


def from_json(path: Path, weights: Path | None) -> Any:
    """keras.Model of model.json and its weights. Raises BundleError."""
    content = _json(_text(path), str(path))
    if weights is None:
        raise BundleError(f"{path}: is layers without weights; give them with --weights FILE.h5")
    import_keras().utils.clear_session()  # so that names do not hang on what was made before
    built = keras2.build(content, str(path)) if keras2.is_keras2(content) else _built(_made(content, str(path)))
    with h5_weights.opened(weights, str(weights)) as file:
        h5_weights.load(built, file, str(weights))
    return built.model


def from_file(path: Path) -> Any:
    """keras.Model of a .keras file, or of a whole model in .h5. Raises BundleError."""
    if not path.is_file():
        raise BundleError(f"{path}: no such file; --keras takes a .keras file, or a whole model in .h5")
    import_keras().utils.clear_session()
    with path.open("rb") as file:
        whole_h5 = file.read(8) == _HDF5
    return _from_h5(path) if whole_h5 else _from_zip(path)


def look(model: Any, where: str) -> Network:
    """Raises BundleError for what is no classifier of one picture."""
    if [entry.name for entry in model.inputs] == ["pixels", "tokens"]:
        raise BundleError(
            f"{where}: makes XML, and has neither its schema nor how sure it may be; only classifiers come back, so train it "
            "with `imago train xml`"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise BundleError(
            f"{where}: has {len(model.inputs)} inputs and {len(model.outputs)} outputs; a network of one picture and one answer wanted"
        )
    _still(model)
    shape, out = model.inputs[0].shape, model.outputs[0].shape
    if len(shape) != 4 or shape[3] != 3:
        raise BundleError(f"{where}: its input is {_shape(shape)}; n x h x w x 3 wanted")
    sides = [side for side in out[1:] if side != 1]
    if None in sides or len(sides) > 1:
        raise BundleError(f"{where}: its output is {_shape(out)}; n x k scores wanted")
    return Network(
        model=model,
        size=shape[1:3] if None not in shape[1:3] else None,
        small=model.inputs[0].dtype == "uint8",
        begins=_begins(model),
        ends=_ends(model),
        outputs=sides[0] if sides else 1,
    )


def wrap(network: Network, around: Around) -> Any:
    """keras.Model by the contract; the network itself where it keeps it."""
    keras = import_keras()
    layers, model, pixels = keras.layers, network.model, around.pixels
    plain = pixels.plain and not (around.activation or around.pair)
    if plain and network.small and network.size and len(model.output_shape) == 2 and model.inputs[0].name == "pixels":
        return model
    start = x = keras.Input((*around.size, 3), dtype="uint8", name="pixels")
    if not network.small:
        x = layers.Rescaling(1.0, 0.0, name="floats")(x)
    if pixels.bgr:
        x = keras.ops.take(x, [2, 1, 0], axis=-1)
    if not pixels.plain:
        x = layers.Rescaling(list(pixels.scale), list(pixels.offset), name="scale")(x)
    x = model(x)
    if len(x.shape) != 2:
        x = layers.Reshape((network.outputs,), name="flat")(x)
    if around.activation:
        x = layers.Activation(around.activation, name="probabilities")(x)
    if around.pair:
        x = layers.Concatenate(name="both")([layers.Rescaling(-1.0, 1.0, name="other")(x), x])
    return keras.Model(start, x, name="classifier")


def models(model: Any) -> dict[str, bytes]:
    """The bundle's files of it."""
    return {"model.keras": canonical.keras_bytes(model), "model.onnx": canonical.onnx_from_keras(model, "scores")}


def _from_zip(path: Path) -> Any:
    try:
        with zipfile.ZipFile(path) as archive:
            keras_file_checks.sizes(archive, path)
            content = _json(archive.read("config.json").decode(), str(path))
            version = str(_json(archive.read("metadata.json").decode(), str(path)).get("keras_version"))
            weights = archive.read("model.weights.h5") if version.startswith("2.") else b""
    except (zipfile.BadZipFile, KeyError, UnicodeDecodeError, EOFError, OSError, NotImplementedError) as error:
        raise BundleError(f"{path}: is no whole .keras file ({reason(error)}); copy it again") from None
    if weights:
        built = keras2.build(content, str(path))
        with h5_weights.opened(io.BytesIO(weights), str(path)) as file:
            h5_weights.load(built, file, str(path))
        return built.model
    keras_file_checks.layers(content, str(path))
    return _loaded(path)


def _from_h5(path: Path) -> Any:
    with h5_weights.opened(path, str(path)) as file:
        if "model_config" not in file.attrs:
            raise BundleError(f"{path}: holds weights alone; give it as --weights, with the layers as --keras-json")
        content = _json(str(file.attrs["model_config"]), str(path))
        if not str(file.attrs.get("keras_version", "2")).startswith("3"):
            built = keras2.build(content, str(path))
            h5_weights.load(built, file, str(path))
            return built.model
    keras_file_checks.layers(content, str(path))
    if path.suffix not in (".h5", ".hdf5"):  # Keras 3 goes by the name
        raise BundleError(f"{path}: is HDF5; rename it to end in .h5")
    return _loaded(path)


def _loaded(path: Path) -> Any:
    try:
        with hushed():
            return import_keras().models.load_model(path, safe_mode=True, compile=False)
    except Exception as error:  # whatever a damaged or foreign file makes Keras raise
        raise BundleError(f"{path}: Keras cannot load it: {reason(error)}") from None


def _made(content: Mapping[str, Any], where: str) -> Any:
    """keras.Model of what Keras 3 wrote."""
    keras_file_checks.layers(content, where)
    keras = import_keras()
    try:
        with hushed():
            model = keras.saving.deserialize_keras_object(dict(content), safe_mode=True)
    except Exception as error:
        raise BundleError(f"{where}: Keras cannot build it: {reason(error)}") from None
    if not isinstance(model, keras.Model):
        raise BundleError(f"{where}: is a {content.get('class_name')}, a model wanted")
    return model


def _built(model: Any) -> Built:
    """A model of Keras 3, for who puts weights into it."""
    keras = import_keras()
    parts = [
        Part(layer.name, type(layer).__name__, _built(layer) if isinstance(layer, keras.Model) else layer)
        for layer in model.layers
    ]
    return Built(model, tuple(parts))


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_TEXT_BYTES:
            raise BundleError(f"{path}: {path.stat().st_size} bytes are no model.json; its weights go into --weights")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise BundleError(f"{path}: no such file; --keras-json takes what to_json() gave") from None
    except UnicodeDecodeError:
        raise BundleError(f"{path}: is no JSON; --keras-json takes what to_json() gave") from None


def _json(text: str, where: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
        found = json.loads(found) if isinstance(found, str) else found  # json.dump() of what was JSON already
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{where}: not JSON ({error}); save it again with to_json()") from None
    if not isinstance(found, dict):
        raise BundleError(f"{where}: is no model of Keras; save it again with to_json()")
    return found


def _shape(shape: Any) -> str:
    return " x ".join("?" if side is None else str(side) for side in shape)


def _leaves(model: Any) -> list[Any]:
    keras = import_keras()
    return [leaf for layer in model.layers for leaf in (_leaves(layer) if isinstance(layer, keras.Model) else [layer])]


def _still(model: Any) -> None:
    """Normalization keeps what it computes of its weights as tensors, which tf2onnx takes for inputs; as numbers they are constants."""
    import numpy as np

    for layer in _leaves(model):
        if type(layer).__name__ == "Normalization":
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)


def _begins(model: Any) -> Line:
    """What the first layers do to the pixels, as long as they add and multiply."""
    line = Line()
    for layer in _leaves(model):
        kind = type(layer).__name__
        if kind == "Rescaling":
            line = line.then(_mean(layer.scale), _mean(layer.offset))
        elif kind == "Normalization" and not layer.invert:
            deviation = _mean(layer.variance) ** 0.5 or 1.0
            line = line.then(1 / deviation, -_mean(layer.mean) / deviation)
        elif kind not in ("InputLayer", "Identity", "Dropout") and kind not in AUGMENTS and not _idle(layer):
            break
    return line


def _idle(layer: Any) -> bool:
    return type(layer).__name__ == "Activation" and layer.activation.__name__ == "linear"


def _mean(values: Any) -> float:
    import numpy as np

    return float(np.mean(np.asarray(values)))


def _ends(model: Any) -> str | None:
    last = [layer for layer in _leaves(model) if type(layer).__name__ not in ("Flatten", "Reshape", "Dropout")][-1]
    if type(last).__name__ == "Softmax":
        return "softmax"
    name = getattr(getattr(last, "activation", None), "__name__", None)
    return name if name in ("softmax", "sigmoid") else None
