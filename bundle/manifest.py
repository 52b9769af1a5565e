"""The words of the contract: what manifest.json and golden/expected.json may say, and how an id comes from them."""

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from bundle.errors import BundleError
from bundle.image import Preprocess


def _inside(path: str) -> str:
    """A relative path that stays in the bundle, in the one spelling the manifest allows."""
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or "\\" in path or ".." in parts or "/".join(parts) != path:
        raise ValueError(f"{path!r} must be a plain relative path without .. or links")
    return path


RelativePath = Annotated[str, AfterValidator(_inside)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# A name is part of folder names and URLs.
NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")


class Contract(BaseModel):
    """No defaults, no unknown keys, no changes: what is written is what was meant."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class File(Contract):
    sha256: Digest
    size: int = Field(ge=0)


class Training(Contract):
    """How the model came to be, as far as it is the same for everybody who does it again."""

    backbone: str
    alpha: float
    weights_sha256: Digest | None  # None: started from random numbers
    head: str
    seed: int
    data_sha256: Digest | None  # over labels and photo digests; None: nothing was trained
    photos: int = Field(ge=0)
    versions: dict[str, str]


class XmlTraining(Contract):
    """The same of a model that makes XML."""

    encoder: str  # own, or frozen:BACKBONE
    weights_sha256: Digest | None  # of the frozen encoder
    seed: int
    data_sha256: Digest  # over the digests of pictures, documents and schema
    pairs: int = Field(ge=1)
    versions: dict[str, str]


class Sure(Contract):
    """From where on an answer counts as sure, and how often such answers were wrong when that was measured."""

    score: float = Field(ge=0, le=1)  # the mean probability of the tokens is at least this
    least: float = Field(ge=0, le=1)  # and so is the smallest of them this
    iou: float | None = Field(ge=0, le=1)  # and, of drawings, the XML drawn again against the picture this
    wrong: float = Field(ge=0, le=1)  # share of the sure answers
    interval: tuple[float, float]  # around it
    pictures: int = Field(ge=0)


class _Any(Contract):
    """What manifests of both kinds say."""

    format: Literal["imago-bundle-1"]
    id: Digest
    name: str = Field(pattern=NAME.pattern)
    source: Literal["keras", "onnx"]  # which of the files is the truth
    preprocess: Preprocess
    metrics: dict[str, float]  # measured through the exported model
    files: dict[RelativePath, File]

    def _check_files(self, wanted: set[str]) -> None:
        if missing := (wanted | {"golden/expected.json"}) - self.files.keys():
            raise ValueError(f"files: {', '.join(sorted(missing))} missing")


class ClassifierManifest(_Any):
    kind: Literal["classifier"]
    scores: Literal["softmax", "sigmoid"]
    labels: int = Field(ge=1)
    thresholds: tuple[float, ...]  # sigmoid: one a label, `present` from there on; softmax: none
    training: Training | None  # None: made elsewhere and imported
    tolerance: float = Field(gt=0)  # how far a golden score may be off

    @model_validator(mode="after")
    def _agrees(self) -> "ClassifierManifest":
        wanted = self.labels if self.scores == "sigmoid" else 0
        if len(self.thresholds) != wanted:
            raise ValueError(f"thresholds: {len(self.thresholds)} found, {wanted} wanted for {self.scores}")
        self._check_files({"model.onnx", "labels.txt", f"model.{self.source}"})
        return self


class XmlManifest(_Any):
    """A golden picture's tokens are the recorded ones or they are wrong, so there is no tolerance."""

    kind: Literal["xml"]
    vocabulary: int = Field(ge=1)  # tokens in the schema's table, the one before every document counted too
    most_tokens: int = Field(ge=1)  # of a document
    sure: Sure
    training: XmlTraining | None

    @model_validator(mode="after")
    def _agrees(self) -> "XmlManifest":
        keras = {"model.keras"} if self.source == "keras" else set()
        self._check_files({"schema.rng", "encoder.onnx", "step.onnx"} | keras)
        return self


Manifest = ClassifierManifest | XmlManifest
KINDS: dict[str, type[Manifest]] = {"classifier": ClassifierManifest, "xml": XmlManifest}


class Golden(Contract):
    """What one golden picture must give."""

    input_sha256: Digest  # of the preprocessed pixels
    output: tuple[float, ...]


class Expected(Contract):
    """golden/expected.json: file name -> what it must give."""

    pictures: dict[RelativePath, Golden]


class GoldenXml(Contract):
    """The same of a model that makes XML."""

    input_sha256: Digest
    output: tuple[int, ...]  # the document's tokens


class ExpectedXml(Contract):
    pictures: dict[RelativePath, GoldenXml]


AnyContract = TypeVar("AnyContract", bound=Contract)


def canonical(content: dict[str, Any]) -> bytes:
    """One spelling for one content: sorted keys, no spaces, UTF-8, a newline at the end."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def bundle_id(content: dict[str, Any]) -> str:
    """sha256 over the canonical manifest, its own id left out."""
    return hashlib.sha256(canonical({key: value for key, value in content.items() if key != "id"})).hexdigest()


def parse(wanted: type[AnyContract], data: bytes, where: str) -> AnyContract:
    """Raises BundleError with the first thing that is wrong, where it stands, and what to do."""
    try:
        return wanted.model_validate_json(data, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        at = ".".join(str(part) for part in first["loc"])
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        message = first["msg"].removeprefix("Value error, ")
        raise BundleError(f"{where}: {at + ': ' if at else ''}{message}{more}; write the bundle again") from None


def parse_manifest(data: bytes, where: str) -> Manifest:
    """A manifest, of the kind that it says it is. Raises BundleError."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None  # which the parser below finds words for
    kind = content.get("kind") if isinstance(content, dict) else None
    if kind is not None and kind not in tuple(KINDS):
        raise BundleError(f"{where}: kind: Input should be {' or '.join(map(repr, KINDS))}; write the bundle again")
    return parse(KINDS[kind or "classifier"], data, where)
