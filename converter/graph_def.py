"""Frozen TensorFlow graphs under the names that old programs ask for.

`output_graph.pb` with `output_labels.txt` is what retrain wrote, `classify_image_graph_def.pb` with
`classification_labels.pbtxt` what the servers made after the ImageNet tutorial read. Both files hold the same graph, with
every name that was in use:

    DecodeJpeg/contents:0   the bytes of one JPEG -> decoded, fitted and resized by TensorFlow
    pixels:0                uint8 (n, h, w, 3), in place of all that; what is checked
    final_result:0          float32 (n, k), retrain's name
    softmax:0               the same, the tutorial's name

TensorFlow decodes and resizes a little differently from bundle/image.py, and turns no photo upright, so exact scores come
from `pixels:0` alone. There is no `Placeholder:0` of floats: its mean and scale were the client's, a wrong pair of them gives
wrong answers in silence, and here they are inside.
"""

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle import image
from bundle.errors import BundleError
from bundle.image import Preprocess
from converter.about import in_pieces, label_lines, refusing, split_labels
from converter.artifact import Artifact, Job, Quantize
from converter.subject import tensorflow

QUANTIZE: frozenset[Quantize] = frozenset()
RETRAIN = ("output_graph.pb", "output_labels.txt")
TUTORIAL = ("classify_image_graph_def.pb", "classification_labels.pbtxt")

# By which a JPEG's pixels may be off on average: TensorFlow decodes and resizes otherwise than Pillow.
LEVELS = 1.0

_ENTRY = re.compile(r'^entry \{\n  target_class: (\d+)\n  target_class_string: "([^\n]*)"\n\}\n', re.MULTILINE)


def write(job: Job) -> None:
    entries = _entries(job.subject.labels)
    graph = _graph(job)
    for name in (RETRAIN[0], TUTORIAL[0]):
        (job.folder / name).write_bytes(graph)
    (job.folder / RETRAIN[1]).write_bytes(label_lines(job.subject))
    (job.folder / TUTORIAL[1]).write_text(entries, encoding="utf-8", newline="\n")


def _entries(labels: tuple[str, ...]) -> str:
    """As the tutorial's reader wants them: it looks at how lines begin, cuts them at ': ' and undoes no escapes."""
    for label in labels:
        if ": " in label or "\r" in label:
            raise BundleError(
                f"label {label!r}: the readers of {TUTORIAL[1]} cut it at ': '; rename it, or leave graphdef"
            )
    return "".join(
        f'entry {{\n  target_class: {number}\n  target_class_string: "{label}"\n}}\n'
        for number, label in enumerate(labels)
    )


def _graph(job: Job) -> bytes:
    """The program with its variables made constants, between the names."""
    tf = tensorflow()
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    frozen = convert_variables_to_constants_v2(job.subject.program())
    spec = job.subject.spec
    with tf.Graph().as_default():
        photo = _photo(tf, spec)
        pixels = tf.compat.v1.placeholder_with_default(photo, (None, spec.height, spec.width, 3), name="pixels")
        inside, out = frozen.inputs[0].name, frozen.outputs[0].name
        definition = frozen.graph.as_graph_def()
        scores = tf.import_graph_def(definition, {inside: pixels}, return_elements=[out], name="network")[0]
        for name in ("final_result", "softmax"):
            tf.identity(scores, name=name)
        # Attributes at their defaults may be unknown to an older TensorFlow, which then refuses the graph.
        plain = tf.compat.v1.train.export_meta_graph(strip_default_attrs=True, clear_devices=True).graph_def
    data: bytes = plain.SerializeToString(deterministic=True)
    return data


def _photo(tf: Any, spec: Preprocess) -> Any:
    """uint8 (1, h, w, 3) of the JPEG in DecodeJpeg/contents:0, fitted as bundle.image does it, by one antialiased operation."""
    contents = tf.compat.v1.placeholder(tf.string, (), name="DecodeJpeg/contents")
    photo = tf.raw_ops.DecodeJpeg(contents=contents, channels=3, dct_method="INTEGER_ACCURATE", name="DecodeJpeg")
    target = tf.constant([spec.height, spec.width])
    size = tf.cast(tf.shape(photo)[:2], tf.float32)
    ratio = tf.cast(target, tf.float32) / size
    chosen = {"squash": ratio, "crop": tf.reduce_max(ratio) + 0 * ratio, "pad": tf.reduce_min(ratio) + 0 * ratio}
    fitted = tf.maximum(tf.round(size * chosen[spec.resize]), 1)
    corner = (tf.cast(target, tf.float32) - fitted) / 2
    # What lies outside the photo comes out as 0: counted down from 255 that is white.
    negative = tf.raw_ops.ScaleAndTranslate(
        images=255 - tf.cast(photo, tf.float32)[None],
        size=target,
        scale=fitted / size,
        translation=tf.floor(corner) if spec.resize == "pad" else corner,
        kernel_type="triangle",
        antialias=True,
    )
    return tf.cast(tf.clip_by_value(tf.round(255 - negative), 0, 255), tf.uint8)


def read(job: Job) -> list[Artifact]:
    return [
        _artifact(job, RETRAIN, split_labels, "final_result:0"),
        _artifact(job, TUTORIAL, _read_entries, "softmax:0"),
    ]


def _read_entries(data: bytes) -> tuple[str, ...]:
    found = {int(number): label for number, label in _ENTRY.findall(data.decode())}
    return tuple(found[number] for number in range(len(found)))


def _artifact(job: Job, names: tuple[str, str], parse: Any, output: str) -> Artifact:
    tf = tensorflow()
    path, beside = (job.folder / name for name in names)
    with refusing(beside):
        labels = parse(beside.read_bytes())
    with refusing(path), tf.Graph().as_default() as graph:
        definition = tf.compat.v1.GraphDef()
        definition.ParseFromString(path.read_bytes())
        tf.import_graph_def(definition, name="")
        session = tf.compat.v1.Session(graph=graph)
        graph.get_tensor_by_name(output)
        _looks(session.run("pixels:0", {"DecodeJpeg/contents:0": _jpeg()}), job.subject.spec, path)

    def run(pixels: np.ndarray) -> np.ndarray:
        scores: np.ndarray = session.run(output, {"pixels:0": pixels})
        return scores

    return Artifact(path=path, runtime=f"tensorflow {tf.__version__}", run=in_pieces(run, 16), labels=labels)


def _jpeg() -> bytes:
    """Wider than high, in soft colours."""
    down, right = np.mgrid[0:120, 0:200]
    out = io.BytesIO()
    Image.fromarray(np.stack([right, 2 * down, 255 - right], axis=-1).astype(np.uint8)).save(out, "JPEG", quality=95)
    return out.getvalue()


def _looks(found: np.ndarray, spec: Preprocess, path: Path) -> None:
    """Raises BundleError where `found`, what became of the JPEG in the graph, is not nearly what becomes of it here."""
    wanted = image.preprocess(image.decode(_jpeg(), spec), spec)
    off = np.abs(found.astype(int) - wanted[None]).mean()
    if off > LEVELS:
        raise BundleError(
            f"{path}: the pixels of a JPEG are off by {off:.1f} levels on average, at most {LEVELS:g} wanted; export the bundle again"
        )
