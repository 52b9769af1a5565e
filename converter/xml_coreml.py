"""Core ML: two ML Programs, the encoder with a picture as its input and the step with its caches as inputs."""

import platform
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from bundle.errors import BundleError
from converter import coreml_program, xml_files, xml_grammar, xml_network
from converter.about import about
from converter.artifact import Job
from converter.coreml_package import Features, package
from converter.coreml_spec import coremltools
from converter.xml_engine import Run, fixed
from converter.xml_files import XmlArtifact

IMAGE = "image"
GRAMMAR = "grammar.json"
TOLD = {
    IMAGE: "a picture",
    "token": "the one before; 0 at the start",
    "position": "how many came before it",
    "cache_keys": "zeros at the start, then new_cache_keys",
    "cache_values": "zeros at the start, then new_cache_values",
    "memory_keys": "what the encoder says of the picture",
    "memory_values": "what the encoder says of the picture",
    "logits": "of the next token, those that the schema does not allow there among them",
    "new_cache_keys": "cache_keys with this token at its position",
    "new_cache_values": "cache_values with this token at its position",
}


def write(job: Job) -> None:
    """The two packages, and grammar.json for a decoder that reads no RELAX NG. Raises BundleError, MissingExtra."""
    sizes, files = xml_network.sizes(job.subject), xml_files.names(job, "mlpackage")
    programs = (xml_network.encoder(job.subject, name=IMAGE, floating=True), xml_network.step(job.subject))
    for file, program, (_, outputs) in zip(files, programs, (sizes.encoder(IMAGE), sizes.step()), strict=True):
        features = Features(outputs=tuple(outputs), told=TOLD)
        package(program, job.folder / file, about=about(job.subject), features=features, quantize=job.quantize)
    xml_files.write(job, *xml_files.programs(sizes, *files, image=(IMAGE, "image")))
    xml_grammar.write(job.subject.directory, job.folder / GRAMMAR)


def read(job: Job) -> list[XmlArtifact]:
    """Interpreted in 32-bit arithmetic; on macOS also by Core ML itself. Raises BundleError, for a grammar that is not the bundle's too."""
    grammar = job.folder / GRAMMAR
    if not grammar.is_file() or grammar.read_bytes() != xml_grammar.dumped(
        xml_grammar.of_bundle(job.subject.directory)
    ):
        raise BundleError(f"{grammar}: missing, or not the bundle's; export it again")
    interpreted = fixed(job, _interpreted, "an interpreter of ML Programs on TensorFlow")
    if platform.system() != "Darwin":
        return [interpreted]
    return [interpreted, fixed(job, _predicted, f"Core ML of macOS {platform.mac_ver()[0]}")]


def _interpreted(path: Path) -> Run:
    return coreml_program.load(path).run


def _predicted(path: Path) -> Run:
    """By Core ML, which takes pictures as Pillow's."""
    native: Any = coremltools().models.MLModel(str(path))

    def run(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: Image.fromarray(value[0]) if name == IMAGE else value for name, value in inputs.items()}
        found: dict[str, np.ndarray] = native.predict(given)
        return found

    return run
