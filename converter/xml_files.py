"""What stands beside the two programs of an exported model that makes XML, and what a format gives back to be checked."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import model_validator

from bundle import store
from bundle.engine import XmlEngine
from bundle.errors import BundleError, SchemaError
from bundle.image import Preprocess
from bundle.manifest import Contract, Digest, RelativePath, Sure, canonical, parse
from bundle.xml import schema
from bundle.xml.codec import Codec
from converter.artifact import Job, Quantize
from converter.xml_layers import Sizes

NETWORK, SCHEMA = "network.json", "schema.rng"
Type = Literal["image", "uint8", "int32", "int64", "float32"]
Precision = Literal["fp32", "fp16"]


class Value(Contract):
    type: Type
    shape: tuple[int | None, ...]  # None: changes from run to run


class Program(Contract):
    """One of the two."""

    file: RelativePath
    signature: str | None  # where a file holds several
    inputs: dict[str, Value]
    outputs: dict[str, Value]


class Network(Contract):
    """network.json: what a program that decodes has to know, beside the schema."""

    format: Literal["imago-network-1"]
    id: Digest  # of the bundle
    name: str
    precision: Precision
    preprocess: Preprocess
    vocabulary: int
    most_tokens: int
    sure: Sure
    encoder: Program
    step: Program

    @model_validator(mode="after")
    def _agrees(self) -> "Network":
        if len(self.encoder.inputs) != 1:
            raise ValueError(f"encoder: {len(self.encoder.inputs)} inputs found, 1 wanted")
        return self


def precision(quantize: Quantize | None) -> Precision:
    return "fp16" if quantize else "fp32"  # there is no int8


@dataclass(frozen=True, kw_only=True)
class XmlArtifact:
    """An exported model that makes XML as it stands in its files; nothing here comes from the bundle."""

    path: Path  # the encoder's, or the one that holds both
    runtime: str  # and its version: what runs it
    engine: XmlEngine
    network: Network
    schema: bytes

    def codec(self) -> Codec:
        """Raises BundleError for a schema that is no good or has another number of tokens."""
        return _codec(self.schema, self.network, self.path.with_name(SCHEMA))


def names(job: Job, suffix: str) -> tuple[str, str]:
    """Of the encoder and the step."""
    return f"{job.subject.title}-encoder.{suffix}", f"{job.subject.title}-step.{suffix}"


def programs(sizes: Sizes, encoder: str, step: str, *, image: tuple[str, Type] = ("pixels", "uint8")) -> list[Program]:
    """Of fixed shapes; `encoder` and `step` are file names, `image` is the input's name and type."""
    into, out = sizes.encoder(image[0])
    first = Program(file=encoder, signature=None, inputs=_values(into, {image[0]: image[1]}), outputs=_values(out, {}))
    into, out = sizes.step()
    whole: dict[str, Type] = {"token": "int32", "position": "int32"}
    return [first, Program(file=step, signature=None, inputs=_values(into, whole), outputs=_values(out, {}))]


def _values(shapes: dict[str, list[int]], types: dict[str, Type]) -> dict[str, Value]:
    return {name: Value(type=types.get(name, "float32"), shape=tuple(shape)) for name, shape in shapes.items()}


def write(job: Job, encoder: Program, step: Program) -> None:
    """The schema and network.json."""
    manifest = job.subject.manifest
    if manifest.kind != "xml":
        raise BundleError(f"{job.subject.directory}: a {manifest.kind}, not a model that makes XML")
    network = Network(
        format="imago-network-1",
        id=manifest.id,
        name=manifest.name,
        precision=precision(job.quantize),
        preprocess=manifest.preprocess,
        vocabulary=manifest.vocabulary,
        most_tokens=manifest.most_tokens,
        sure=manifest.sure,
        encoder=encoder,
        step=step,
    )
    (job.folder / SCHEMA).write_bytes(store.read_file(job.subject.directory, SCHEMA))
    (job.folder / NETWORK).write_bytes(canonical(network.model_dump(mode="json")))


def read(folder: Path) -> tuple[Network, bytes]:
    """network.json and the schema. Raises BundleError for what is damaged."""
    network = parse(Network, store.read_file(folder, NETWORK), str(folder / NETWORK))
    text = store.read_file(folder, SCHEMA)
    _codec(text, network, folder / SCHEMA)
    return network, text


def _codec(text: bytes, network: Network, path: Path) -> Codec:
    try:
        codec = Codec(schema.parse(text, str(path)))
    except SchemaError as error:
        raise BundleError(str(error)) from None
    if (found := len(codec.automaton.tokens)) != network.vocabulary:
        raise BundleError(f"{path}: {found} tokens, {network.vocabulary} wanted by {NETWORK}; export it again")
    return codec
