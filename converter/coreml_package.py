"""Writes Core ML files: any program as a package with an ML Program, and a classifier as an .mlmodel with a neural network."""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from bundle.errors import BundleError
from converter.about import reason
from converter.artifact import Quantize
from converter.coreml_program import SPEC
from converter.coreml_spec import FIELDS, MINE, coremltools, silent

# How Vision has to fit a photo into the model's input, in the words of its imageCropAndScaleOption.
VISION = {"crop": "centerCrop", "squash": "scaleFill", "pad": "scaleFit"}


@dataclass(frozen=True, kw_only=True)
class Features:
    """What goes in and comes out."""

    images: Collection[str] = ("image",)  # the inputs that take 8-bit RGB (1, h, w, 3)
    outputs: Sequence[str] = ("probabilities",)  # public names, in the program's order
    labels: Sequence[str] = ()  # with them the only output is a dictionary, and `label` the best of it
    told: Mapping[str, str] = field(default_factory=dict)  # name of an input or output -> what it is


def package(
    program: Any, path: Path, *, about: Mapping[str, str], features: Features, quantize: Quantize | None = None
) -> None:
    """`program`, a tf.ConcreteFunction of fixed shapes, as an ML Program that says `about` of itself; fp16 is of weights and arithmetic,
    int8 of weights. Raises BundleError, MissingExtra."""
    ct = coremltools()
    precision = ct.precision.FLOAT16 if quantize else ct.precision.FLOAT32
    target = ct.target.iOS16 if quantize == "int8" else ct.target.iOS15
    kind = {"convert_to": "mlprogram", "compute_precision": precision, "minimum_deployment_target": target}
    model = _converted(program, path, features, kind)
    if quantize == "int8":
        model = _in_8_bits(model)
    spec = _described(model, about, features)
    with silent():
        ct.utils.save_spec(spec, str(path), weights_dir=model.weights_dir)
    where = path / "Data" / SPEC
    where.write_bytes(spec.SerializeToString(deterministic=True))
    where.chmod(0o644)  # coremltools copies a temporary file, which only its owner may read
    _settle(path / "Manifest.json")


def network(
    program: Any, path: Path, *, about: Mapping[str, str], features: Features, quantize: Literal["fp16"] | None = None
) -> None:
    """The same of a classifier as a neural network, for devices before iOS 15; fp16 is of weights. Raises BundleError."""
    model = _converted(program, path, features, {"convert_to": "neuralnetwork"})
    if quantize:
        with silent():
            from coremltools.models.neural_network.quantization_utils import quantize_weights

            model = quantize_weights(model, 16)
    path.write_bytes(_described(model, about, features).SerializeToString(deterministic=True))


def _converted(program: Any, path: Path, features: Features, kind: Mapping[str, Any]) -> Any:
    """coremltools' MLModel, of which nothing is loaded."""
    ct = coremltools()
    classes = ct.ClassifierConfig(list(features.labels), predicted_feature_name="label") if features.labels else None
    settings = {"inputs": _inputs(ct, program, features.images), "classifier_config": classes, **kind}
    try:
        with silent():
            return ct.convert([program], source="tensorflow", skip_model_load=True, **settings)
    except Exception as error:  # whatever a layer that it does not know makes coremltools raise
        raise BundleError(f"{path.name}: coremltools cannot convert the network: {reason(error)}") from error


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
    """Weights linear from the least to the largest, one scale for each output channel. Around 0 the largest difference of scores was
    twice as large on 241 photos, 0.15 for 0.07, and the best label another on 4 for 3."""
    with silent():
        from coremltools.optimize import coreml as optimize

        each = optimize.OpLinearQuantizerConfig(mode="linear")
        return optimize.linear_quantize_weights(model, optimize.OptimizationConfig(global_config=each))


def _described(model: Any, about: Mapping[str, str], features: Features) -> Any:
    """Its specification with public names and all that it should say; Xcode shows it."""
    spec = model.get_spec()
    _rename(spec, features.outputs)
    told = spec.description.metadata
    for key, name in FIELDS.items():
        setattr(told, name, about.get(key, ""))
    told.userDefined.pop("com.github.apple.coremltools.conversion_date", None)  # the same bundle gives the same bytes
    told.userDefined.update({f"{MINE}{key}": value for key, value in about.items() if key not in FIELDS})
    told.userDefined[f"{MINE}vision"] = VISION[about["resize"]]
    if features.labels:
        told.userDefined["com.apple.coreml.model.preview.type"] = "imageClassifier"
    for one in (*spec.description.input, *spec.description.output):
        one.shortDescription = features.told.get(one.name, "")
    return spec


def _rename(spec: Any, outputs: Sequence[str]) -> None:
    """TensorFlow calls outputs Identity, Identity_1 and so on, in their order."""
    found = [one.name for one in spec.description.output if one.name != spec.description.predictedFeatureName]
    if len(found) != len(outputs):
        raise BundleError(f"the network has {len(found)} outputs, {len(outputs)} names given")
    for old, new in zip(found, outputs, strict=True):
        coremltools().utils.rename_feature(spec, old, new)


def _settle(path: Path) -> None:
    """Identifiers of the package's items by their paths; coremltools draws them at random."""
    content = json.loads(path.read_text())
    items = content["itemInfoEntries"]
    ids = {old: str(uuid.uuid5(uuid.NAMESPACE_URL, item["path"])) for old, item in items.items()}
    content["itemInfoEntries"] = {ids[old]: item for old, item in items.items()}
    content["rootModelIdentifier"] = ids[content["rootModelIdentifier"]]
    path.write_text(json.dumps(content, indent=4, sort_keys=True) + "\n")
