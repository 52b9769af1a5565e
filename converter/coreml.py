"""Core ML: a package with an ML Program (iOS 15 on), and an .mlmodel with a neural network (iOS 13 on), both with labels."""

import json
import platform
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle.errors import BundleError
from bundle.manifest import ClassifierManifest
from converter import coreml_network, coreml_program
from converter.artifact import Artifact, Job, Quantize
from converter.coreml_spec import coremltools, silent

QUANTIZE: frozenset[Quantize] = frozenset({"fp16", "int8"})
# How Vision has to fit a photo into the model's input: imageCropAndScaleOption.
VISION = {"crop": "centerCrop", "squash": "scaleFill", "pad": "scaleFit"}


@dataclass(frozen=True, kw_only=True)
class Metadata:
    """What a Core ML file says about itself; Xcode shows it."""

    description: str
    version: str
    license: str = ""
    user: Mapping[str, str] = field(default_factory=dict)
    features: Mapping[str, str] = field(default_factory=dict)  # input or output -> what it is


def write(job: Job) -> None:
    """NAME-ID8.mlpackage and NAME-ID8.mlmodel. Raises BundleError, MissingExtra."""
    manifest = job.subject.manifest
    if not isinstance(manifest, ClassifierManifest):
        raise BundleError(f"{job.subject.directory}: makes XML; only classifiers are written here")
    program = job.subject.program(name="image", batch=1, floating=True)
    told, labels = _metadata(manifest, job), job.subject.labels
    package(program, _path(job, "mlpackage"), metadata=told, labels=labels, quantize=job.quantize)
    network(program, _path(job, "mlmodel"), metadata=told, labels=labels, quantize=job.quantize)


def read(job: Job) -> list[Artifact]:
    """Both files, interpreted; on macOS also by Core ML itself. Raises BundleError."""
    program = coreml_program.load(_path(job, "mlpackage"))
    network = coreml_network.load(_path(job, "mlmodel"))
    return [artifact(model) for model in (program, network) for artifact in (_interpreted, *NATIVE)]


def _path(job: Job, kind: str) -> Path:
    return job.folder / f"{job.subject.title}.{kind}"


def _metadata(manifest: ClassifierManifest, job: Job) -> Metadata:
    spec = job.subject.spec
    return Metadata(
        description=f"{manifest.name}: {'one' if manifest.scores == 'softmax' else 'any'} of {manifest.labels} labels",
        version=manifest.id[:8],
        user={
            "com.apple.coreml.model.preview.type": "imageClassifier",
            "imago.id": manifest.id,
            "imago.name": manifest.name,
            "imago.scores": manifest.scores,
            "imago.thresholds": json.dumps(manifest.thresholds),
            "imago.resize": spec.resize,
            "imago.vision": VISION[spec.resize],
        },
        features={
            "image": f"a picture of {spec.width} x {spec.height}, fitted in by {spec.resize}",
            "label": "the label with the highest score",
            "probabilities": f"the score of each label, {manifest.scores}",
        },
    )


# ---- writing -------------------------------------------------------------------------------


def package(
    program: Any,
    path: Path,
    *,
    metadata: Metadata,
    images: Collection[str] = ("image",),
    outputs: Sequence[str] = ("probabilities",),
    labels: Sequence[str] = (),
    quantize: Quantize | None = None,
) -> None:
    """`program`, a tf.ConcreteFunction of fixed shapes, as an ML Program: its inputs named in `images` take 8-bit RGB (1, h, w, 3),
    its outputs are named in their order; with labels the only one becomes a dictionary and `label` the best. Raises BundleError."""
    ct = coremltools()
    precision = ct.precision.FLOAT16 if quantize else ct.precision.FLOAT32
    target = ct.target.iOS16 if quantize == "int8" else ct.target.iOS15
    model = _converted(
        program,
        path,
        images,
        labels,
        convert_to="mlprogram",
        compute_precision=precision,
        minimum_deployment_target=target,
    )
    if quantize == "int8":
        model = _in_8_bits(model)
    spec = model.get_spec()
    _rename(spec, outputs)
    _describe(spec, metadata)
    with silent():
        ct.utils.save_spec(spec, str(path), weights_dir=model.weights_dir)
    (path / coreml_program.SPEC).write_bytes(spec.SerializeToString(deterministic=True))
    _settle(path / "Manifest.json")


def network(
    program: Any, path: Path, *, metadata: Metadata, labels: Sequence[str], quantize: Quantize | None = None
) -> None:
    """The same of a classifier as a neural network, for devices before iOS 15. Raises BundleError."""
    model = _converted(program, path, ("image",), labels, convert_to="neuralnetwork")
    if quantize:
        from coremltools.models.neural_network.quantization_utils import quantize_weights

        with silent():
            model = quantize_weights(model, {"fp16": 16, "int8": 8}[quantize])
    spec = model.get_spec()
    _rename(spec, ("probabilities",))
    _describe(spec, metadata)
    path.write_bytes(spec.SerializeToString(deterministic=True))


def _converted(program: Any, path: Path, images: Collection[str], labels: Sequence[str], **target: Any) -> Any:
    ct = coremltools()
    classes = ct.ClassifierConfig(list(labels), predicted_feature_name="label") if labels else None
    try:
        with silent():
            return ct.convert(
                [program],
                source="tensorflow",
                inputs=_inputs(ct, program, images),
                classifier_config=classes,
                skip_model_load=True,
                **target,
            )
    except Exception as error:  # whatever a layer that it does not know makes coremltools raise
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise BundleError(f"{path.name}: coremltools cannot convert the network: {reason}") from error


def _inputs(ct: Any, program: Any, images: Collection[str]) -> list[Any]:
    inputs = []
    for tensor in program.inputs[: len(program.inputs) - len(program.captured_inputs)]:
        name, shape = tensor.name.partition(":")[0], tuple(tensor.shape)
        if name in images:
            inputs.append(ct.ImageType(name=name, shape=shape, color_layout=ct.colorlayout.RGB))
        else:
            inputs.append(ct.TensorType(name=name, shape=shape, dtype=tensor.dtype.as_numpy_dtype))
    return inputs


def _in_8_bits(model: Any) -> Any:
    """Weights linear with one scale for each output channel."""
    with silent():
        from coremltools.optimize import coreml as optimize

        each = optimize.OpLinearQuantizerConfig(mode="linear_symmetric")
        return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(global_config=each))


def _rename(spec: Any, outputs: Sequence[str]) -> None:
    """Gives outputs their public names; TensorFlow calls them Identity, Identity_1 and so on, in order."""
    found = [one.name for one in spec.description.output if one.name != spec.description.predictedFeatureName]
    if len(found) != len(outputs):
        raise BundleError(f"the network has {len(found)} outputs, {len(outputs)} names given")
    for old, new in zip(found, outputs, strict=True):
        coremltools().utils.rename_feature(spec, old, new)


def _describe(spec: Any, told: Metadata) -> None:
    about = spec.description.metadata
    about.author, about.license = "Imago", told.license
    about.shortDescription, about.versionString = told.description, told.version
    about.userDefined.pop("com.github.apple.coremltools.conversion_date", None)  # the same bundle gives the same bytes
    about.userDefined.update(told.user)
    for one in (*spec.description.input, *spec.description.output):
        one.shortDescription = told.features.get(one.name, "")


def _settle(path: Path) -> None:
    """Identifiers of the package's items by their paths, which are random otherwise."""
    content = json.loads(path.read_text())
    items = {}
    for old, item in content["itemInfoEntries"].items():
        new = str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"]))
        items[new] = item
        if content["rootModelIdentifier"] == old:
            root = new
    path.write_text(json.dumps({**content, "itemInfoEntries": items, "rootModelIdentifier": root}, indent=4, sort_keys=True))


# ---- running -------------------------------------------------------------------------------


def _interpreted(model: Any) -> Artifact:
    """One picture at a time, as the file's shapes have it."""

    def run(pictures: np.ndarray) -> np.ndarray:
        rows = [model.run({"image": pictures[at : at + 1]})["probabilities"] for at in range(len(pictures))]
        return np.concatenate(rows)

    return Artifact(path=model.path, runtime=model.runtime, run=run, labels=model.labels)


def _predicted(model: Any) -> Artifact:
    """By Core ML itself, which only macOS has."""
    native, labels = coremltools().models.MLModel(str(model.path)), model.labels

    def run(pictures: np.ndarray) -> np.ndarray:
        rows = [native.predict({"image": Image.fromarray(picture)})["probabilities"] for picture in pictures]
        return np.array([[row[label] for label in labels] for row in rows], np.float32)

    return Artifact(path=model.path, runtime=f"Core ML of macOS {platform.mac_ver()[0]}", run=run, labels=labels)


NATIVE = (_predicted,) if platform.system() == "Darwin" else ()
