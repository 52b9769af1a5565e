"""A Core ML neural network, read from its .mlmodel and run layer by layer."""

from pathlib import Path
from typing import Any


def load(path: Path) -> Any:
    raise NotImplementedError
