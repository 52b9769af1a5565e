"""The specification of a Core ML file: loading it, what it says about itself, and coremltools without its talk."""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from bundle.errors import BundleError, MissingExtra
from converter.about import reason
from converter.subject import tensorflow

# What coremltools sets for itself.
DEPTH = 5000
# Where Core ML has a field for what a file says about itself, by our word for it; the rest is called imago.WORD.
FIELDS = {"author": "author", "license": "license", "version": "versionString", "description": "shortDescription"}
MINE = "imago."


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """coremltools warns of every library's version, logs what only macOS has, and draws progress bars. It walks large graphs deeper than
    Python likes and leaves the whole process so; here that ends with its work."""
    nowhere, level, depth = io.StringIO(), logging.root.manager.disable, sys.getrecursionlimit()
    logging.disable(logging.WARNING)
    sys.setrecursionlimit(max(depth, DEPTH))
    try:
        with contextlib.redirect_stderr(nowhere), contextlib.redirect_stdout(nowhere), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
        sys.setrecursionlimit(depth)


def coremltools() -> Any:
    """The module. Raises MissingExtra."""
    tensorflow()  # which it imports itself, but aloud
    try:
        with silent():
            import coremltools
    except ImportError:
        raise MissingExtra("coremltools is not installed; install it with: pip install 'imago[export]'") from None
    return coremltools


def parsed(path: Path) -> Any:
    """Model of Model.proto. Raises whatever a damaged file makes protobuf raise; MissingExtra."""
    coremltools()
    from coremltools.proto import Model_pb2

    return Model_pb2.Model.FromString(path.read_bytes())


def metadata(spec: Any) -> dict[str, str]:
    """What the file says about itself, by our words: coreml_package wrote it."""
    told = spec.description.metadata
    known = {key: getattr(told, name) for key, name in FIELDS.items()}
    return known | {key.removeprefix(MINE): value for key, value in told.userDefined.items()}


def image_inputs(spec: Any) -> dict[str, str]:
    """Names of the inputs that take 8-bit pictures, and their order of colours: RGB or BGR. Raises BundleError for others."""
    orders = {}
    for one in spec.description.input:
        if one.type.WhichOneof("Type") == "imageType":
            kind = one.type.imageType
            orders[one.name] = kind.ColorSpace.Name(kind.colorSpace)
    if strange := set(orders.values()) - {"RGB", "BGR"}:
        raise BundleError(f"a picture of colours {strange.pop()}, RGB or BGR wanted")
    return orders


def pixels(tf: Any, picture: Any, order: str) -> Any:
    """What Core ML hands a model for a picture (n, h, w, 3) of 0 to 255: (n, 3, h, w) in its order of colours."""
    if order == "BGR":
        picture = picture[..., ::-1]
    return tf.transpose(picture, (0, 3, 1, 2))


def compiled(
    tf: Any, call: Callable[..., Any], inputs: Mapping[str, tuple[tuple[int, ...], str]]
) -> Callable[..., Any]:
    """Traced at once, so that what is not known is told when a file is loaded; inputs as shape and dtype."""
    specs = {name: tf.TensorSpec(shape, dtype, name=name) for name, (shape, dtype) in inputs.items()}
    traced: Callable[..., Any] = tf.function(call, autograph=False).get_concrete_function(**specs)
    return traced


Loaded = TypeVar("Loaded")


def whole(path: Path, load: Callable[[], Loaded]) -> Loaded:
    """What `load` gives. Raises BundleError that names the file for whatever it raises."""
    try:
        return load()
    except MissingExtra:
        raise
    except Exception as error:
        raise BundleError(f"{path}: {reason(error)}; export it again") from error
