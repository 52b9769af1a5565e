"""A classifier for Core ML: a package with an ML Program (iOS 15 on), and an .mlmodel with a neural network (iOS 12 on)."""

import json
import platform
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle.manifest import ClassifierManifest
from converter import coreml_network, coreml_program
from converter.about import classifier
from converter.artifact import Artifact, Job, Quantize
from converter.coreml_package import Features, Metadata, network, package
from converter.coreml_spec import coremltools
from converter.subject import Subject

QUANTIZE: frozenset[Quantize] = frozenset({"fp16", "int8"})
# How Vision has to fit a photo into the model's input, in the words of its imageCropAndScaleOption.
VISION = {"crop": "centerCrop", "squash": "scaleFill", "pad": "scaleFit"}


def write(job: Job) -> None:
    """NAME-ID8.mlpackage and NAME-ID8.mlmodel; of int8 the package alone, since a neural network of 8 bits gave 7 of 241 photos
    another label, and the program 3. Raises BundleError, MissingExtra."""
    manifest = classifier(job.subject)
    program = job.subject.program(name="image", batch=1, floating=True)
    words = _metadata(job.subject, manifest)
    features = _features(job.subject, manifest)
    package(program, _path(job, "mlpackage"), metadata=words, features=features, quantize=job.quantize)
    if job.quantize != "int8":
        network(program, _path(job, "mlmodel"), metadata=words, features=features, quantize=job.quantize)


def read(job: Job) -> list[Artifact]:
    """Each file, interpreted in 32-bit arithmetic; on macOS also by Core ML itself. Raises BundleError."""
    models = [coreml_program.load(_path(job, "mlpackage"))]
    if job.quantize != "int8":
        models.append(coreml_network.load(_path(job, "mlmodel")))
    ways = (_interpreted, _predicted) if platform.system() == "Darwin" else (_interpreted,)
    return [way(model) for model in models for way in ways]


def _path(job: Job, kind: str) -> Path:
    return job.folder / f"{job.subject.title}.{kind}"


def _metadata(subject: Subject, manifest: ClassifierManifest) -> Metadata:
    wanted = "one" if manifest.scores == "softmax" else "any"
    return Metadata(
        description=f"{manifest.name}: {wanted} of {manifest.labels} labels for a picture",
        version=manifest.id[:8],
        user={
            "com.apple.coreml.model.preview.type": "imageClassifier",
            "imago.id": manifest.id,
            "imago.name": manifest.name,
            "imago.scores": manifest.scores,
            "imago.thresholds": json.dumps(manifest.thresholds),
            "imago.resize": subject.spec.resize,
            "imago.vision": VISION[subject.spec.resize],
        },
    )


def _features(subject: Subject, manifest: ClassifierManifest) -> Features:
    spec = subject.spec
    told = {
        "image": f"a picture of {spec.width} x {spec.height}, made so by {spec.resize}",
        "label": "the label with the highest score",
        "probabilities": f"the score of each label, {manifest.scores}",
    }
    return Features(labels=subject.labels, told=told)


def _interpreted(model: coreml_program.Program) -> Artifact:
    """One picture at a time, as the file's shapes have it."""

    def run(pictures: np.ndarray) -> np.ndarray:
        rows = [model.run({"image": pictures[at : at + 1]})["probabilities"] for at in range(len(pictures))]
        return np.concatenate(rows)

    return Artifact(path=model.path, runtime=model.runtime, run=run, labels=model.labels)


def _predicted(model: coreml_program.Program) -> Artifact:
    """By Core ML itself, which only macOS has."""
    native: Any = coremltools().models.MLModel(str(model.path))
    labels = model.labels or ()

    def run(pictures: np.ndarray) -> np.ndarray:
        rows = [native.predict({"image": Image.fromarray(picture)})["probabilities"] for picture in pictures]
        return np.array([[row[label] for label in labels] for row in rows], np.float32)

    return Artifact(path=model.path, runtime=f"Core ML of macOS {platform.mac_ver()[0]}", run=run, labels=labels)
