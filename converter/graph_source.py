"""A frozen TensorFlow graph, cut where pixels go in and scores come out, as an ONNX model."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bundle.engine.keras_any import hushed
from bundle.errors import BundleError, MissingExtra
from converter import graph_ops
from converter.about import reason
from converter.onnx_file_checks import OPSET
from converter.subject import tensorflow

# What retrain called its scores, and we do.
SCORES = "final_result"
PIXELS = "pixels"
_RESIZES = ("ResizeBilinear", "ResizeBicubic", "ResizeArea", "ResizeNearestNeighbor")
_DECODES = ("DecodeJpeg", "DecodePng", "DecodeImage", "DecodeBmp", "DecodeGif", "DecodeAndCropJpeg")
# Between a decoder and a resize these leave the range of the pixels as it is.
_SAME_RANGE = {
    *_DECODES,
    *_RESIZES,
    *("Const", "Cast", "ExpandDims", "Identity", "Squeeze", "Placeholder", "CropToBox"),
}
_SAME_RANGE |= {"StridedSlice", "Slice", "Shape", "Pack", "PlaceholderWithDefault"}
# Without these at its end nothing is an answer.
_NO_ANSWERS = {*("Const", "Placeholder", "NoOp", "Assert", "Shape", "Variable", "VariableV2"), *_DECODES}


@dataclass(frozen=True)
class Cut:
    """Where the pixels go in."""

    name: str
    range: str | None  # 0..255 where the graph decoded them itself
    size: tuple[int, int] | None


def read(path: Path, *, source: str | None, target: str | None, size: tuple[int, int] | None) -> tuple[Any, str | None]:
    """An onnx.ModelProto, and the range of its pixels where the graph tells. Raises BundleError, MissingExtra."""
    graph, where = parse(path), str(path)
    try:
        cut, target, pruned = _between(graph, where, source=source, target=target, size=size)
    except (IndexError, KeyError, TypeError, ValueError) as error:  # as damaged nodes make it
        raise BundleError(f"{where}: is no graph that TensorFlow wrote ({reason(error)}); freeze it again") from None
    graph_ops.check(pruned, where)
    _check_inputs(pruned, cut, where)
    graph_ops.modern(pruned)
    del pruned.library.function[:]
    return _converted(pruned, cut.name, target, where), cut.range


def _between(
    graph: Any, where: str, *, source: str | None, target: str | None, size: tuple[int, int] | None
) -> tuple[Cut, str, Any]:
    """Where the pixels go in, the node of the scores, and the graph between them."""
    nodes = {node.name: node for node in graph.node}
    target = _named(nodes, target, where, "output") if target else _target(nodes, where)
    above = set(_ancestors(nodes, [target]))
    cut = _cut(nodes, [name for name in nodes if name in above], source, where)
    if cut.name == target:
        raise BundleError(f"{where}: {target} is the pixels and the scores; name other nodes with --input and --output")
    found = cut.size or size
    if not found:
        raise BundleError(f"{where}: the input {cut.name!r} is of no fixed size; say it with --size")
    return cut, target, _pruned(graph, nodes, cut, target, found)


def parse(path: Path) -> Any:
    """A GraphDef. Raises BundleError."""
    tf = tensorflow()
    graph = tf.compat.v1.GraphDef()
    if not path.is_file():
        raise BundleError(f"{path}: no such file; --graphdef takes a frozen graph, such as output_graph.pb")
    try:
        graph.ParseFromString(path.read_bytes())
    except Exception:  # protobuf's DecodeError, and what wrong bytes make it raise besides
        raise BundleError(f"{path}: is no whole GraphDef; copy it again, a SavedModel has to be frozen first") from None
    if not graph.node:
        raise BundleError(f"{path}: is a GraphDef without nodes; a SavedModel has to be frozen first")
    return graph


def _names(node: Any) -> list[str]:
    """The nodes that it takes tensors of."""
    return [name.partition(":")[0] for name in node.input if not name.startswith("^")]


def _ancestors(nodes: Mapping[str, Any], ends: Iterable[str], stop: str = "") -> list[str]:
    """All that `ends` hang on, themselves too; what is behind `stop` left out."""
    found: dict[str, None] = {}
    waiting = list(ends)
    while waiting:
        name = waiting.pop()
        if name not in found and name in nodes:
            found[name] = None
            waiting.extend(_names(nodes[name]) if name != stop else [])
    return list(found)


def _named(nodes: Mapping[str, Any], name: str, where: str, what: str) -> str:
    plain = name.partition(":")[0]
    if plain not in nodes:
        some = ", ".join(list(nodes)[-3:] if what == "output" else list(nodes)[:3])
        raise BundleError(f"{where}: has no node {plain!r} for --{what}; its nodes are such as {some}")
    return plain


def _target(nodes: Mapping[str, Any], where: str) -> str:
    if SCORES in nodes:
        return SCORES
    read = {name for node in nodes.values() for name in [*_names(node), *(x[1:] for x in node.input if x[:1] == "^")]}
    ends = [name for name, node in nodes.items() if name not in read and node.op not in _NO_ANSWERS]
    if len(ends) != 1:
        raise BundleError(f"{where}: ends in {', '.join(ends) or 'nothing'}; name the scores with --output")
    return ends[0]


def _cut(nodes: Mapping[str, Any], needed: list[str], source: str | None, where: str) -> Cut:
    """Where to cut: as said, at `pixels`, behind decoding and resizing, or at the one placeholder."""
    if source:
        name = _named(nodes, source, where, "input")
        if name not in needed:
            raise BundleError(f"{where}: the scores do not hang on --input {name}")
        return Cut(name, _range(nodes, name), _size(nodes, name, where))
    if PIXELS in needed:
        return Cut(PIXELS, "0..255", _size(nodes, PIXELS, where))
    if any(nodes[name].op in _DECODES for name in needed):
        name = _resize(nodes, needed, where)
        return Cut(name, _range(nodes, name), _size(nodes, name, where))
    tf = tensorflow()
    kinds = [tf.uint8.as_datatype_enum, tf.float32.as_datatype_enum, tf.float16.as_datatype_enum]
    places = [
        name
        for op in ("Placeholder", "PlaceholderWithDefault")
        for name in needed
        if nodes[name].op == op and nodes[name].attr["dtype"].type in kinds
    ]
    # Beside the pixels there may be a number that says how to train.
    places = [name for name in places if len(_sides(nodes[name])) == 4] or places
    if len(places) != 1:
        raise BundleError(f"{where}: takes {', '.join(places) or 'nothing'}; name the pixels with --input")
    return Cut(places[0], None, _size(nodes, places[0], where))


def _resize(nodes: Mapping[str, Any], needed: list[str], where: str) -> str:
    """The last node that resizes what was decoded."""
    decoded = [
        name
        for name in needed
        if nodes[name].op in _RESIZES and any(nodes[x].op in _DECODES for x in _ancestors(nodes, [name]))
    ]
    last = [name for name in decoded if not any(name in _ancestors(nodes, _names(nodes[x])) for x in decoded)]
    if len(last) != 1:
        raise BundleError(
            f"{where}: decodes pictures and resizes them in {len(last)} places; name the pixels with --input"
        )
    return last[0]


def _range(nodes: Mapping[str, Any], name: str) -> str | None:
    """Of a tensor that comes from a decoder, untouched."""
    before = {nodes[x].op for x in _ancestors(nodes, [name])}
    return "0..255" if before & {*_DECODES} and before <= _SAME_RANGE else None


def _size(nodes: Mapping[str, Any], name: str, where: str) -> tuple[int, int] | None:
    """Height and width. Raises BundleError for what is known to be no pictures, or to have its channels first."""
    from tensorflow.python.framework.tensor_util import MakeNdarray

    node = nodes[name]
    if node.op in _RESIZES:
        if nodes[_names(node)[1]].op != "Const":
            return None
        height, width = MakeNdarray(nodes[_names(node)[1]].attr["value"].tensor)
        return int(height), int(width)
    sides = _sides(node)
    if not sides:
        return None
    if len(sides) != 4 or sides[3] not in (-1, 3):
        found = " x ".join("?" if side < 0 else str(side) for side in sides)
        raise BundleError(f"{where}: the input {name!r} is {found}; n x h x w x 3 wanted, name another with --input")
    return (sides[1], sides[2]) if min(sides[1:3]) > 0 else None


def _sides(node: Any) -> list[int]:
    """-1 for one that is open; none where the file says nothing of its shape, which TensorFlow 1 wrote as a shape without sides."""
    return [dim.size for dim in node.attr["shape"].shape.dim] if "shape" in node.attr else []


def _type(node: Any) -> int:
    """The DataType of its first output."""
    if node.op in _RESIZES and node.op != "ResizeNearestNeighbor":
        return int(tensorflow().float32.as_datatype_enum)
    kinds = [node.attr[key].type for key in ("dtype", "DstT", "T") if key in node.attr]
    return int(kinds[0])


def _pruned(graph: Any, nodes: Mapping[str, Any], cut: Cut, target: str, size: tuple[int, int]) -> Any:
    """The graph between the cut and `target`, a placeholder of any number of pictures at the cut."""
    pruned = type(graph)()
    pruned.versions.CopyFrom(graph.versions)
    pruned.library.CopyFrom(graph.library)
    kept = set(_ancestors(nodes, [target], stop=cut.name))
    pruned.node.extend(node for node in graph.node if node.name in kept)
    place = next(node for node in pruned.node if node.name == cut.name)
    kind = _type(place)
    place.Clear()
    place.name, place.op = cut.name, "Placeholder"
    place.attr["dtype"].type = kind
    for side in (-1, *size, 3):
        place.attr["shape"].shape.dim.add().size = side
    return pruned


def _check_inputs(graph: Any, cut: Cut, where: str) -> None:
    others = [node.name for node in graph.node if node.op == "Placeholder" and node.name != cut.name]
    if others:
        raise BundleError(f"{where}: takes {', '.join(others)} besides {cut.name}; freeze it for inference")


def _converted(graph: Any, source: str, target: str, where: str) -> Any:
    try:
        import tf2onnx
    except ImportError:
        raise MissingExtra("tf2onnx is not installed; install it with: pip install 'imago[train]'") from None
    # Of which of its functions are old, and which optimisation it leaves out, nobody here needs to know.
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    try:
        with hushed():
            model, _ = tf2onnx.convert.from_graph_def(
                graph, input_names=[f"{source}:0"], output_names=[f"{target}:0"], opset=OPSET
            )
    except Exception as error:  # TensorFlow's and tf2onnx's kinds share no parent
        raise BundleError(f"{where}: cannot be converted ({reason(error)})") from error
    # Such graphs were written for one picture: whoever frees that finds it here.
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    return model
