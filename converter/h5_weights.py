"""Weights from .h5 files into the layers they belong to: shapes are looked at before anything is read, links to elsewhere refused."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from bundle.errors import BundleError
from converter.about import reason
from converter.keras2 import Built, Part


@contextmanager
def opened(source: Path | IO[bytes], where: str) -> Iterator[Any]:
    """An h5py.File. Raises BundleError for what is none."""
    import h5py

    if isinstance(source, Path) and not source.is_file():
        raise BundleError(f"{where}: no such file; --weights takes the .h5 file that save_weights() wrote")
    try:
        file = h5py.File(source, "r")
    except OSError as error:
        raise BundleError(f"{where}: is no whole HDF5 file ({reason(error)}); copy or save it again") from None
    with file:
        try:
            yield file
        except (
            AttributeError,
            KeyError,
            OSError,
            RuntimeError,
            TypeError,
            ValueError,
        ) as error:  # as damaged files make it
            raise BundleError(f"{where}: cannot be read ({reason(error)}); save it again") from None


def load(built: Built, file: Any, where: str) -> None:
    """Gives every layer its weights; `file` has the layout of Keras 2 or of Keras 3. Raises BundleError."""
    root = file.get("model_weights", file)
    if "layer_names" in root.attrs or "layer_names0" in root.attrs:
        _load_named(built, root, where)
    elif "layers" in root:
        _load_numbered(built, root, where)
    else:
        raise BundleError(f"{where}: holds no weights that Keras wrote; save them with save_weights()")


def _load_named(built: Built, root: Any, where: str) -> None:
    """Keras 2: a group a layer, the weights' names in its attributes."""
    groups = {name: _listed(root, name, where) for name in _words(root, "layer_names")}
    groups = {name: found for name, found in groups.items() if found}
    wanted = [part for part in built.parts if _layers(part)]
    if not {part.name for part in wanted} <= groups.keys():  # names count up within a session, the order stays
        silent = {part.name for part in built.parts} - {part.name for part in wanted}
        rest = [found for name, found in groups.items() if name not in silent]
        _same_count([part.name for part in wanted], list(groups.keys() - silent), where)
        groups = {part.name: found for part, found in zip(wanted, rest, strict=True)}
    elif strangers := groups.keys() - {part.name for part in built.parts}:
        raise BundleError(f"{where}: has weights for the layer {min(strangers)!r}, which the model has not")
    for part in wanted:
        _give(part, groups[part.name], where)


def _give(part: Part, found: Sequence[tuple[str, Any]], where: str) -> None:
    """One group's weights to a layer, or to the layers of a model within the model."""
    if not isinstance(part.made, Built):
        _set(part, [value for _, value in found], where)
        return
    by_layer: dict[str, list[tuple[str, Any]]] = {}
    for name, value in found:
        before, _, own = name.rpartition("/")
        by_layer.setdefault(before, []).append((own, value))
    leaves = [leaf for leaf in part.made.leaves() if _layers(leaf)]
    names: list[str | None] = [_ending(by_layer, leaf.name) for leaf in leaves]
    if None in names or len(set(names)) < len(names):
        _same_count([leaf.name for leaf in leaves], list(by_layer), where)
        names = [*by_layer]
    for leaf, path in zip(leaves, names, strict=True):
        _give(leaf, by_layer[path or ""], where)


def _ending(by_layer: Mapping[str, Any], name: str) -> str | None:
    """The path in a file that means this layer."""
    if name in by_layer:
        return name
    return next((path for path in by_layer if path.endswith(f"/{name}")), None)


def _load_numbered(built: Built, group: Any, where: str) -> None:
    """Keras 3, and .keras files of Keras 2: layers by their class, with a number, in the model's order."""
    seen: dict[str, int] = {}
    layers = group["layers"]
    for part in built.parts:
        word = _snake(part.kind)
        number = seen[word] = seen.get(word, -1) + 1
        name = f"{word}_{number}" if number else word
        if not _layers(part):
            continue
        if name not in layers:
            raise BundleError(f"{where}: has no weights for the layer {part.name!r}; are they of another model?")
        if isinstance(part.made, Built):
            _load_numbered(part.made, layers[name], where)
            continue
        values = layers[name]["vars"]
        if not len(values):
            raise BundleError(
                f"{where}: layer {part.name!r} ({part.kind}) has its weights in parts; save the model as a .keras file and "
                "give that as --keras"
            )
        _set(part, [_dataset(values, str(at), where) for at in range(len(values))], where)


def _set(part: Part, found: Sequence[Any], where: str) -> None:
    layer = part.made
    if part.kind == "Normalization" and len(found) == 2:  # how many pictures its mean is of, which no answer hangs on
        found = [*found, np.zeros(layer.weights[2].shape)]
    wanted = [tuple(weight.shape) for weight in layer.weights]
    shapes = [tuple(value.shape) for value in found]
    if shapes != wanted:
        raise BundleError(
            f"{where}: layer {part.name!r} has weights {_shapes(shapes)} there, {_shapes(wanted)} in the model; "
            "are they of another model?"
        )
    layer.set_weights([np.asarray(value[()], np.float32) for value in found])
    if part.kind == "Normalization":
        layer.finalize_state()


def _shapes(shapes: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(" x ".join(map(str, shape)) or "1" for shape in shapes) or "none"


def _same_count(wanted: Sequence[str], found: Sequence[str], where: str) -> None:
    if len(wanted) != len(found):
        missing, strange = sorted(set(wanted) - set(found)), sorted(set(found) - set(wanted))
        names = f"; the model's {missing[0]!r} is not there" if missing else f"; {strange[0]!r} is not in the model"
        raise BundleError(
            f"{where}: has weights for {len(found)} layers, {len(wanted)} wanted{names}: are they of another model?"
        )


def _layers(part: Part) -> bool:
    """Whether it has any weights."""
    return bool((part.made.model if isinstance(part.made, Built) else part.made).weights)


def _words(group: Any, name: str) -> list[str]:
    """A list in the attributes, in pieces (name0, name1, ...) where it is long."""
    if name in group.attrs:
        found = list(group.attrs[name])
    else:
        pieces = range(len(group.attrs))
        found = [word for at in pieces if f"{name}{at}" in group.attrs for word in group.attrs[f"{name}{at}"]]
    return [word.decode() if isinstance(word, bytes) else str(word) for word in found]


def _listed(root: Any, layer: str, where: str) -> list[tuple[str, Any]]:
    """Short name -> dataset, in the order that the layer had them."""
    group = _inside(root, layer, where)
    return [(name.partition(":")[0], _dataset(group, name, where)) for name in _words(group, "weight_names")]


def _inside(group: Any, path: str, where: str) -> Any:
    """What `path` leads to; only within this file."""
    import h5py

    for word in path.split("/"):
        if not isinstance(group.get(word, getlink=True), h5py.HardLink):
            raise BundleError(f"{where}: {path} is missing or a link; save the weights again")
        group = group[word]
    return group


def _dataset(group: Any, path: str, where: str) -> Any:
    import h5py

    found = _inside(group, path, where)
    if not isinstance(found, h5py.Dataset) or found.external or found.is_virtual or found.dtype.kind not in "fiu":
        raise BundleError(f"{where}: {path} is no plain list of numbers; save the weights again")
    return found


def _snake(name: str) -> str:
    """As Keras names a class's layers: SeparableConv2D -> separable_conv2d."""
    return re.sub("([a-z])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)).lower()
