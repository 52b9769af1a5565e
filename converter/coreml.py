"""A classifier for Core ML: a package with an ML Program (iOS 15 on), and an .mlmodel with a neural network (iOS 12 on)."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle.manifest import ClassifierManifest
from converter import coreml_network, coreml_program
from converter.about import about, classifier
from converter.artifact import Artifact, Job, Quantize
from converter.coreml_package import Features, network, package
from converter.coreml_spec import coremltools
from converter.subject import Subject

QUANTIZE: frozenset[Quantize] = frozenset({"fp16", "int8"})


def write(job: Job) -> None:
    """NAME-ID8.mlpackage and NAME-ID8.mlmodel; of int8 the package alone, since a neural network of 8 bits gave 7 of 241 photos
    another label, and the program 3. Raises BundleError, MissingExtra."""
    manifest = classifier(job.subject)
    program = job.subject.program(name="image", batch=1, floating=True)
    told, features = about(job.subject), _features(job.subject, manifest)
    package(program, _path(job, "mlpackage"), about=told, features=features, quantize=job.quantize)
    if job.quantize != "int8":
        network(program, _path(job, "mlmodel"), about=told, features=features, quantize=job.quantize)


def read(job: Job) -> list[Artifact]:
    """Each file, interpreted in 32-bit arithmetic; on macOS also by Core ML itself. Raises BundleError."""
    models = [coreml_program.load(_path(job, "mlpackage"))]
    if job.quantize != "int8":
        models.append(coreml_network.load(_path(job, "mlmodel")))
    ways = (_interpreted, _predicted) if platform.system() == "Darwin" else (_interpreted,)
    return [way(model) for model in models for way in ways]


def _path(job: Job, kind: str) -> Path:
    return job.folder / f"{job.subject.title}.{kind}"


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

    return Artifact(path=model.path, runtime=model.runtime, run=run, labels=model.labels, told=model.metadata)


def _predicted(model: coreml_program.Program) -> Artifact:
    """By Core ML itself, which only macOS has."""
    native: Any = coremltools().models.MLModel(str(model.path))
    labels = model.labels or ()

    def run(pictures: np.ndarray) -> np.ndarray:
        rows = [native.predict({"image": Image.fromarray(picture)})["probabilities"] for picture in pictures]
        return np.array([[row[label] for label in labels] for row in rows], np.float32)

    runtime = f"Core ML of macOS {platform.mac_ver()[0]}"
    return Artifact(path=model.path, runtime=runtime, run=run, labels=labels, told=model.metadata)
