"""Models of Keras 2 built again in Keras 3, layer by layer from their JSON: nothing that the file names is imported or called."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bundle.engine.keras_any import import_keras
from bundle.errors import BundleError
from converter import keras2_layers
from converter.about import reason

MODELS = ("Model", "Functional", "Sequential")


@dataclass(frozen=True)
class Part:
    """A layer as its file has it, and what was made of it."""

    name: str
    kind: str
    made: Any  # a keras.Layer; of a model within the model Built


@dataclass(frozen=True)
class Built:
    model: Any  # keras.Model
    parts: tuple[Part, ...]  # in the file's order

    def leaves(self) -> Iterator[Part]:
        """The layers, those of inner models too."""
        for part in self.parts:
            if isinstance(part.made, Built):
                yield from part.made.leaves()
            else:
                yield part


def is_keras2(content: Mapping[str, Any]) -> bool:
    """Whether a model's JSON was written by Keras 1 or 2; Keras 3 writes neither word."""
    return "keras_version" in content or "backend" in content or content.get("class_name") == "Model"


def build(content: Mapping[str, Any], where: str) -> Built:
    """From model.json's {"class_name", "config"}. Raises BundleError with the name of the layer that cannot be had."""
    try:
        return _model(content)
    except BundleError as error:
        raise BundleError(f"{where}: {error}") from None
    except (KeyError, IndexError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise BundleError(
            f"{where}: is no model that Keras 2 wrote ({reason(error)}); save it again with to_json()"
        ) from None


def _model(content: Mapping[str, Any]) -> Built:
    kind, config = content["class_name"], content["config"]
    if kind not in MODELS:
        raise BundleError(f"is a {kind}, {' or '.join(MODELS)} wanted; models of one's own classes are code")
    return _sequential(config) if kind == "Sequential" else _functional(config)


def _part(entry: Mapping[str, Any], more: Mapping[str, Any]) -> Part:
    """`more`: what a call of it has besides tensors."""
    kind, config = entry["class_name"], entry["config"]
    if kind in MODELS:
        name = entry.get("name") or (config.get("name") if isinstance(config, dict) else None) or kind.lower()
        return Part(name, kind, _model(entry))
    name = config["name"]
    if kind == "TFOpLambda":
        return Part(name, kind, keras2_layers.arithmetic(config, more.get("y"), _plain(name)))
    if unknown := {key for key, value in more.items() if key not in ("training", "name") and value is not None}:
        raise keras2_layers.refuse(kind, name, f"is called with {', '.join(sorted(unknown))}, which is not imported")
    return Part(name, kind, keras2_layers.make(kind, config, _plain(name)))


def _plain(name: str) -> str:
    """Keras 3 keeps slashes for paths."""
    return name.replace("/", "_")


def _call(part: Part, tensors: Any) -> Any:
    return (part.made.model if isinstance(part.made, Built) else part.made)(tensors)


def _input(config: Mapping[str, Any]) -> Any:
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    if not shape:
        raise BundleError("says nothing of its input's shape; save the model once it was built")
    dtype = "uint8" if config.get("dtype") == "uint8" else "float32"
    return import_keras().Input(shape[1:], dtype=dtype, name=_plain(config.get("name") or "pixels"))


def _sequential(config: Any) -> Built:
    entries: Sequence[Mapping[str, Any]] = config["layers"] if isinstance(config, dict) else config
    first = entries[0]
    shaped = first
    while shaped["class_name"] in MODELS:  # a model within the model has the shape in its own first layer
        inner = shaped["config"]
        shaped = (inner["layers"] if isinstance(inner, dict) else inner)[0]
    said = dict(shaped["config"])
    if not said.get("batch_input_shape") and isinstance(config, dict):
        said["batch_input_shape"] = config.get("build_input_shape")
    pixels = x = _input({**said, "name": None, "dtype": said.get("dtype")})
    parts = [_part(entry, {}) for entry in entries if entry["class_name"] != "InputLayer"]
    for part in parts:
        x = _call(part, x)
    return Built(import_keras().Model(pixels, x), tuple(parts))


@dataclass(frozen=True)
class _Node:
    """One call of a layer."""

    sources: tuple[tuple[str, int, int], ...]  # layer, its call, its output
    alone: bool  # called with a tensor, not with a list
    more: Mapping[str, Any]


def _node(content: Sequence[Any]) -> _Node:
    """[["a", 0, 0, {}], ...], or ["a", 0, 0, {...}] of functions."""
    rows = [content] if isinstance(content[0], str) else content
    sources = tuple((str(row[0]), int(row[1]), int(row[2])) for row in rows)
    more = rows[0][3] if len(rows[0]) > 3 else {}
    return _Node(sources, len(rows) == 1, more)


def _functional(config: Mapping[str, Any]) -> Built:
    entries = {entry.get("name") or entry["config"]["name"]: entry for entry in config["layers"]}
    nodes = {name: [_node(node) for node in entry.get("inbound_nodes", [])] for name, entry in entries.items()}
    ends = _ends(config["output_layers"])
    tensors = {(name, 0, 0): _input(entries[name]["config"]) for name, _, _ in _ends(config["input_layers"])}
    inputs = list(tensors.values())
    parts = {
        name: _part(entry, nodes[name][0].more if nodes[name] else {})
        for name, entry in entries.items()
        if entry["class_name"] != "InputLayer"
    }
    _run(parts, nodes, _first_calls(nodes, ends), tensors)
    outputs = [tensors[end] for end in ends]
    single = inputs[0] if len(inputs) == 1 else inputs
    return Built(import_keras().Model(single, outputs[0] if len(outputs) == 1 else outputs), tuple(parts.values()))


def _run(
    parts: Mapping[str, Part],
    nodes: Mapping[str, list[_Node]],
    first: Mapping[str, int],
    tensors: dict[tuple[str, int, int], Any],
) -> None:
    """Calls every layer once its inputs are there; fills `tensors`."""
    waiting = [(name, at, node) for name in parts for at, node in enumerate(nodes[name])]
    while waiting:
        ready = [call for call in waiting if all(source in tensors for source in call[2].sources)]
        if not ready:
            raise BundleError(f"layer {waiting[0][0]!r}: its inputs come from nowhere; the file is damaged")
        for name, at, node in ready:
            found = [tensors[source] for source in node.sources]
            out = _call(parts[name], found[0] if node.alone else found)
            for place, tensor in enumerate(out if isinstance(out, list | tuple) else [out]):
                tensors[name, at + first.get(name, 0), place] = tensor
        waiting = [call for call in waiting if call not in ready]


def _first_calls(nodes: Mapping[str, list[_Node]], ends: list[tuple[str, int, int]]) -> dict[str, int]:
    """How the first call of a layer is numbered: 1 for models within the model, mostly, else 0."""
    first: dict[str, int] = {}
    for name, at, _ in [*ends, *(source for calls in nodes.values() for node in calls for source in node.sources)]:
        first[name] = min(at, first.get(name, at))
    return first


def _ends(content: Sequence[Any]) -> list[tuple[str, int, int]]:
    rows = [content] if isinstance(content[0], str) else content
    return [(str(row[0]), int(row[1]), int(row[2])) for row in rows]
