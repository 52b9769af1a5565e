"""Every knob of the server, once: unit, default, range and meaning; read at the edge, frozen from there on."""

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bundle import pull, storage, store
from bundle.engine import Choice, cores
from bundle.errors import BundleError, ImagoError
from server import allow
from server.logs import Form

PREFIX = "IMAGO_"


class ConfigError(ImagoError):
    """A knob with a value that it cannot have."""

    code = "config"


class Config(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    bundle: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="bundles to serve, directories or s3:// URIs, separated by commas; none: the embedded defaults"
    )
    bundle_cache: str = Field(
        "", description="where bundles from s3:// are kept; none: imago/bundles in the user's cache folder"
    )
    listen: str = Field("127.0.0.1:5000", description="address and port; 0.0.0.0:5000 is every address of the machine")
    engine: Choice = Field("auto", description="what runs the models: auto, onnx or keras")
    engine_threads: int = Field(0, ge=0, le=256, description="models run at once on a CPU; 0: one a core")
    request_threads: int = Field(0, ge=0, le=512, description="requests decoded and answered at once; 0: two a core")
    queue: int = Field(
        64, ge=1, le=100_000, description="pictures that may wait for an engine; more are told to come back (503)"
    )
    deadline_ms: int = Field(
        10_000, ge=10, le=600_000, description="longest wait for an engine before a request is given up (504)"
    )
    max_batch: int = Field(32, ge=1, le=1024, description="pictures a GPU gets at once; a CPU gets them one by one")
    max_wait_ms: float = Field(2.0, ge=0, le=1000, description="how long a GPU waits for its batch to fill")
    max_body_mb: int = Field(32, ge=1, le=1024, description="largest request body; larger ones get 413")
    read_ms: int = Field(
        10_000, ge=100, le=600_000, description="how long a request may take to come in whole; then it gets 408"
    )
    connections: int = Field(
        2048, ge=1, le=100_000, description="connections open at once; more are told to come back (503)"
    )
    keepalive_s: int = Field(
        15,
        ge=1,
        le=3600,
        description="how long a kept connection may be silent; a proxy in front must close its own before",
    )
    bodies_mb: int = Field(
        512, ge=1, le=1 << 20, description="all request bodies in memory together; more are told to come back (503)"
    )
    decode_mb: int = Field(
        512,
        ge=1,
        le=1 << 20,
        description="memory for large pictures (over 20 MB each) being decoded together; more wait, a larger one goes alone",
    )
    unready_ms: int = Field(
        500, ge=0, le=60_000, description="after SIGTERM, how long /readyz says 503 before the listener closes"
    )
    drain_s: int = Field(30, ge=1, le=3600, description="after that, how long requests in flight may take to finish")
    processes: int = Field(1, ge=1, le=64, description="processes that serve, each with its own models")
    watch_s: float = Field(
        0.0, ge=0, le=86_400, description="how often to look for new versions of the bundles; 0: never"
    )
    url_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="hosts that pictures may be fetched from by url, separated by commas; none: no host"
    )
    s3_allow: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="buckets that pictures may be read from, separated by commas; none: no bucket"
    )

    feedback: str = Field(
        "",
        description="where what people say to answers is kept, a directory or s3://BUCKET/FOLDER; none: it is not taken",
    )
    feedback_pictures: bool = Field(
        False, description="whether the pictures that people said something to are kept too: true or false"
    )

    log: Form = Field("auto", description="a line of the log: json, text, or auto: text on a terminal, else json")
    api_keys: Path | None = Field(
        None, description="file of keys, one a line, that open everything but health; none: open"
    )
    admin_keys: Path | None = Field(None, description="file of keys for administration; none: it is switched off")
    metrics_keys: Path | None = Field(None, description="file of keys for /metrics; none: open")
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="origins, separated by commas, whose pages may ask here; none: only this server's own page"
    )
    otlp: str = Field(
        "",
        description="OpenTelemetry collector that gets a span for each request, such as http://collector:4318; none: no spans",
    )

    @field_validator("bundle", "cors_origins", "url_allow", "s3_allow", mode="before")
    @classmethod
    def _list(cls, value: Any) -> Any:
        parts = value.split(",") if isinstance(value, str) else [str(part) for part in value]
        return [part.strip() for part in parts if part.strip()]

    @field_validator("url_allow")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for entry in value:
            if not allow.entry(entry):
                raise ValueError(f"{entry!r} is no host name, and no http://HOST:PORT")
        return value

    @field_validator("feedback")
    @classmethod
    def _kept(cls, value: str) -> str:
        if pull.remote(value):
            try:
                storage.place(value)
            except BundleError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        found = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})", value)
        if not found or int(found[1]) > 65535:
            raise ValueError(f"{value!r} is no HOST:PORT")
        return value

    @field_validator("otlp")
    @classmethod
    def _collector(cls, value: str) -> str:
        if value and not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", value):
            raise ValueError(f"{value!r} is no http://HOST:PORT")
        return value

    @field_validator("api_keys", "admin_keys", "metrics_keys", mode="before")
    @classmethod
    def _absent(cls, value: Any) -> Any:
        return value or None

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for origin in value:
            if not re.fullmatch(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(:\d{1,5})?", origin):
                raise ValueError(f"{origin!r} is no origin; wanted scheme://host or scheme://host:port, in lower case")
        return value

    @property
    def threads(self) -> int:
        """Request threads."""
        return self.request_threads or 2 * cores()

    @property
    def bundles(self) -> tuple[str, ...]:
        return self.bundle or tuple(map(str, embedded()))


def read(**flags: Any) -> Config:
    """Flags over environment over defaults. Raises ConfigError naming the knob."""
    try:
        return Config(**{name: value for name, value in flags.items() if value not in (None, ())})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        knob = str(first["loc"][0])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{flag(knob)} ({PREFIX}{knob.upper()}): {message}") from None


def flag(knob: str) -> str:
    return "--" + knob.replace("_", "-")


def table() -> list[tuple[str, str, str, str, str]]:
    """Flag, environment variable, default, range and meaning of every knob; the README shows these rows."""
    rows = []
    for name, field in Config.model_fields.items():
        limits = {type(limit).__name__: limit for limit in field.metadata}
        low, high = (getattr(limits.get(kind), kind.lower(), None) for kind in ("Ge", "Le"))
        default = ", ".join(map(str, field.default)) if isinstance(field.default, tuple) else str(field.default)
        rows.append(
            (
                flag(name),
                PREFIX + name.upper(),
                "–" if field.default in (None, (), "") else default,
                f"{low} … {high}" if limits and low is not None else "–",
                field.description or "",
            )
        )
    return rows


def embedded() -> list[Path]:
    """The default bundles, part of the package: of garment pattern pieces. What classifies comes first."""
    folder = Path(str(resources.files("server"))) / "bundles"
    found = store.find(folder) if folder.is_dir() else []
    if not found:
        raise ConfigError(
            "this installation has no default bundle; name one with --bundle, or make it with: make bundles"
        )
    return sorted(found, key=lambda path: store.read_manifest(path).kind)
