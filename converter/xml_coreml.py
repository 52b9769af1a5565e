"""Core ML: two ML Programs, the encoder with a picture as its input and the step with its caches as inputs."""

from pathlib import Path

from bundle.errors import ImagoError
from converter import coreml, coreml_program, xml_files, xml_network
from converter.artifact import Job
from converter.xml_engine import Run, fixed, unreadable
from converter.xml_files import XmlArtifact

IMAGE = "image"


def write(job: Job) -> None:
    """Raises BundleError, MissingExtra."""
    encoder, step = names = xml_files.names(job, "mlpackage")
    sizes = xml_network.sizes(job.subject)
    look = xml_network.encoder(job.subject, name=IMAGE, floating=True)
    for name, program, (_, outputs) in (
        (encoder, look, sizes.encoder(IMAGE)),
        (step, xml_network.step(job.subject), sizes.step()),
    ):
        coreml.package(
            program, job.folder / name, metadata=_metadata(job), outputs=tuple(outputs), quantize=job.quantize
        )
    xml_files.write(job, *xml_files.programs(sizes, *names, image=(IMAGE, "image")))


def read(job: Job) -> XmlArtifact:
    """Interpreted. Raises BundleError."""
    return fixed(job, _opened, coreml_program.Program.runtime)


def _opened(path: Path) -> Run:
    try:
        return coreml_program.load(path).run
    except ImagoError:
        raise
    except Exception as error:  # what the reader of weights raises has no kind of its own
        raise unreadable(path, "the interpreter", error) from error


def _metadata(job: Job) -> coreml.Metadata:
    said = xml_files.metadata(job)
    user = {
        "imago.id": said["id"],
        "imago.name": said["name"],
        "imago.resize": job.subject.spec.resize,
        "imago.vision": coreml.VISION[job.subject.spec.resize],
    }
    features = {
        IMAGE: "a picture",
        "token": "the one before, 0 at the start",
        "position": "how many came before it",
        "cache_keys": "zeros at the start, then new_cache_keys",
        "cache_values": "zeros at the start, then new_cache_values",
        "memory_keys": "of the encoder",
        "memory_values": "of the encoder",
        "logits": "of the next token, those that the schema does not allow among them",
    }
    return coreml.Metadata(description=said["description"], version=said["version"], user=user, features=features)
