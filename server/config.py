"""Every knob of the server, once: unit, default, range and meaning; read at the edge, frozen from there on."""

import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bundle.engine import Choice
from bundle.errors import ImagoError

PREFIX = "IMAGO_"


class ConfigError(ImagoError):
    """A knob with a value that it cannot have."""

    code = "config"


class Config(BaseSettings):
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    bundle: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="bundles to serve, separated by commas; none: the embedded default"
    )
    listen: str = Field("127.0.0.1:5000", description="address and port; 0.0.0.0:5000 is every address of the machine")
    engine: Choice = Field("auto", description="what runs the models: auto, onnx or keras")
    engine_threads: int = Field(0, ge=0, le=256, description="models run at once on a CPU; 0: one a core")
    request_threads: int = Field(16, ge=1, le=512, description="requests read, decoded and answered at once")
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
    bodies_mb: int = Field(
        512, ge=1, le=1 << 20, description="all request bodies in memory together; more are told to come back (503)"
    )
    unready_ms: int = Field(
        500, ge=0, le=60_000, description="after SIGTERM, how long /readyz says 503 before the listener closes"
    )
    drain_s: int = Field(30, ge=1, le=3600, description="after that, how long requests in flight may take to finish")

    @field_validator("bundle", mode="before")
    @classmethod
    def _paths(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value

    @field_validator("listen")
    @classmethod
    def _address(cls, value: str) -> str:
        found = re.fullmatch(r"(?:\[[0-9a-fA-F:.]+\]|[\w.-]+):(\d{1,5})", value)
        if not found or int(found[1]) > 65535:
            raise ValueError(f"{value!r} is no HOST:PORT")
        return value

    @property
    def bundles(self) -> tuple[Path, ...]:
        return self.bundle or (embedded(),)


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
                default or "–",
                f"{low} … {high}" if limits and low is not None else "–",
                field.description or "",
            )
        )
    return rows


def embedded() -> Path:
    """The default bundle, part of the package: garment pattern pieces."""
    folder = Path(str(resources.files("server"))) / "bundles"
    found = sorted(path for path in folder.iterdir() if (path / "manifest.json").is_file()) if folder.is_dir() else []
    if not found:
        raise ConfigError(
            "this installation has no default bundle; name one with --bundle, or make it with: make bundles"
        )
    return found[0]
