"""Which operators of TensorFlow may stand in a GraphDef from elsewhere: pure arithmetic, since a graph is a program."""

from typing import Any

from bundle.errors import BundleError

_WORDS = (
    "Const Identity IdentityN Placeholder PlaceholderWithDefault StopGradient CheckNumerics Snapshot NoOp "
    "Conv2D DepthwiseConv2dNative Conv2DBackpropInput BiasAdd BiasAddV1 MatMul BatchMatMul BatchMatMulV2 Einsum "
    "FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 BatchNormWithGlobalNormalization LRN L2Loss "
    "Relu Relu6 Elu Selu LeakyRelu Sigmoid Tanh Softplus Softsign Softmax LogSoftmax Erf "
    "Add AddV2 AddN Sub Mul RealDiv Div DivNoNan FloorDiv FloorMod Maximum Minimum Neg Abs Sign Reciprocal Inv "
    "Sqrt Rsqrt Square SquaredDifference Exp Log Log1p Pow Floor Ceil Round ClipByValue Cast "
    "Mean Sum Max Min Prod All Any ArgMax "
    "AvgPool MaxPool MaxPoolV2 Pad PadV2 MirrorPad ResizeBilinear ResizeNearestNeighbor "
    "Reshape Squeeze ExpandDims Transpose Concat ConcatV2 Split SplitV Pack Unpack Slice StridedSlice "
    "Gather GatherV2 Tile Shape ShapeN Size Rank Fill Range ZerosLike OnesLike BroadcastTo Reverse ReverseV2 "
    "SpaceToBatchND BatchToSpaceND SpaceToDepth DepthToSpace "
    "Greater GreaterEqual Less LessEqual Equal NotEqual LogicalAnd LogicalOr LogicalNot Select SelectV2 "
    "FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel"
)
ALLOWED = frozenset(_WORDS.split())


def check(graph: Any, where: str) -> None:
    """Raises BundleError with the name of the first node, of the graph or of a function in it, that may do more than compute."""
    for node in graph.node:
        _check(node, where)
    for function in graph.library.function:
        for node in function.node_def:
            _check(node, f"{where}: function {function.signature.name!r}")


def _check(node: Any, where: str) -> None:
    if node.op not in ALLOWED:
        raise BundleError(
            f"{where}: node {node.name!r}: the operation {node.op} is not imported; only arithmetic is, "
            "frozen (weights as constants) and without functions"
        )


def modern(graph: Any) -> None:
    """Old operations in the words of newer ones, in place; what only orders or checks goes."""
    old = list(graph.node)
    del graph.node[:]
    for node in old:
        for name in [name for name in node.attr if name.startswith("_")]:
            del node.attr[name]
        node.input[:] = [name for name in node.input if not name.startswith("^")]
        if node.op == "BatchNormWithGlobalNormalization":
            graph.node.extend(_normalized(node))
        elif node.op in ("CheckNumerics", "PlaceholderWithDefault"):
            graph.node.append(_node("Identity", node.name, node.input[:1], dtype=_type(node)))
        else:
            graph.node.append(node)


def _type(node: Any) -> int:
    key = "T" if "T" in node.attr else "dtype"
    kind: int = node.attr[key].type
    return kind


def _normalized(node: Any) -> list[Any]:
    """(t - m) * rsqrt(v + epsilon) * gamma + beta; inputs t, m, v, beta, gamma."""
    from tensorflow.core.framework.node_def_pb2 import NodeDef
    from tensorflow.python.framework.tensor_util import make_tensor_proto

    pixels, mean, variance, beta, gamma = node.input
    kind, at = _type(node), f"{node.name}/imago"
    epsilon = NodeDef(name=f"{at}/epsilon", op="Const")
    epsilon.attr["dtype"].type = kind
    epsilon.attr["value"].tensor.CopyFrom(make_tensor_proto(node.attr["variance_epsilon"].f, dtype=kind))
    nodes = [
        epsilon,
        _node("AddV2", f"{at}/above", [variance, epsilon.name], dtype=kind),
        _node("Rsqrt", f"{at}/scale", [f"{at}/above"], dtype=kind),
        _node("Sub", f"{at}/centred", [pixels, mean], dtype=kind),
        _node("Mul", f"{at}/scaled", [f"{at}/centred", f"{at}/scale"], dtype=kind),
    ]
    last = f"{at}/scaled"
    if node.attr["scale_after_normalization"].b:
        nodes.append(_node("Mul", f"{at}/gamma", [last, gamma], dtype=kind))
        last = f"{at}/gamma"
    return [*nodes, _node("AddV2", node.name, [last, beta], dtype=kind)]


def _node(op: str, name: str, inputs: Any, *, dtype: int) -> Any:
    from tensorflow.core.framework.node_def_pb2 import NodeDef

    node = NodeDef(name=name, op=op, input=list(inputs))
    node.attr["T"].type = dtype
    return node
