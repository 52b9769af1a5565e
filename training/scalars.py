"""Curves for TensorBoard."""

from collections.abc import Mapping
from typing import Any

from training.run import Run

NAMES = {"loss": "loss/train", "validation_loss": "loss/validation"}


class Board:
    """One file of scalars in a folder of the run's own; nothing where no TensorBoard is wanted.

    The folder is emptied first, and who takes a run up again tells of its first epochs again: none comes twice.
    """

    def __init__(self, run: Run) -> None:
        self.writer: Any = None
        if run.tensorboard:
            from tensorboard.summary import Writer

            folder = run.tensorboard / f"{run.name}-{run.key}"
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self.writer = Writer(str(folder))

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        if self.writer:
            for name, value in figures.items():
                self.writer.add_scalar(NAMES.get(name, name), value, step)
            self.writer.flush()

    def close(self) -> None:
        if self.writer:
            self.writer.close()
