"""What a person sees while training runs: a bar on a terminal, one line a stage elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, TypeVar

Item = TypeVar("Item")


@dataclass
class Progress:
    """Stages of a run and the seconds each took; all output goes to stderr, so stdout stays for the result."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    curve: list[dict[str, float]] = field(default_factory=list)  # one entry an epoch

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Work without a known number of steps."""
        start = time.perf_counter()
        yield
        self._done(name, start, "")

    def track(self, name: str, items: Iterable[Item], total: int) -> Iterator[Item]:
        """`items` as they are, with a bar: count, rate and time left."""
        start = time.perf_counter()
        if not sys.stderr.isatty() or total == 0:
            yield from items
        else:
            with _bar() as bar:
                task = bar.add_task(name, total=total)
                for item in items:
                    yield item
                    bar.advance(task)
        self._done(name, start, f"{total} in ")

    @contextmanager
    def epochs(self, name: str, total: int) -> Iterator[Callable[[int, dict[str, float]], None]]:
        """For training: a function that hears of each epoch and its figures, and shows them."""
        start = time.perf_counter()
        shown = _bar() if sys.stderr.isatty() else nullcontext()
        with shown as bar:
            task = bar and bar.add_task(name, total=total)

            def heard(epoch: int, figures: dict[str, float]) -> None:
                text = " ".join([name, *(f"{key} {value:.3g}" for key, value in figures.items())])
                self.curve.append({"epoch": epoch + 1, **{key: round(float(x), 5) for key, x in figures.items()}})
                if bar:
                    bar.update(task, advance=1, description=text)
                else:
                    print(f"{text}, epoch {epoch + 1} of {total}", file=sys.stderr, flush=True)

            yield heard
        self._done(name, start, f"{total} epochs in ")

    @contextmanager
    def steps(self, name: str, total: int) -> Iterator[Callable[[int, int, dict[str, float]], None]]:
        """The same, told in steps: which of how many, and figures where there are new ones."""
        start = time.perf_counter()
        shown = _bar() if sys.stderr.isatty() else nullcontext()
        first = done = 0
        with shown as bar:
            task = bar and bar.add_task(name, total=total)

            def heard(step: int, total: int, figures: dict[str, float]) -> None:
                nonlocal first, done
                first, done = first or step - 1, step
                text = " ".join([name, *(f"{key} {value:.3f}" for key, value in figures.items())])
                if figures:
                    self.curve.append({"step": step, **{key: round(float(x), 5) for key, x in figures.items()}})
                if bar:
                    bar.update(task, completed=step, total=total, **({"description": text} if figures else {}))
                elif figures:
                    left = (total - step) * (time.perf_counter() - start) / max(1, step - first)
                    print(f"{text}, step {step} of {total}, {left:.0f} s left", file=sys.stderr, flush=True)

            yield heard
        self._done(name, start, f"{done} steps in ")

    def note(self, sentence: str) -> None:
        """A sentence for the person and for the report."""
        self.notes.append(sentence)
        print(f"note: {sentence}", file=sys.stderr, flush=True)

    def _done(self, name: str, start: float, before: str) -> None:
        took = time.perf_counter() - start
        self.seconds[name] = round(self.seconds.get(name, 0.0) + took, 3)  # a stage may come more than once
        print(f"{name:<20} {before}{took:.1f} s", file=sys.stderr, flush=True)


def _bar() -> Any:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TimeRemainingColumn
    from rich.text import Text

    class Rate(ProgressColumn):
        """Pictures, steps or epochs a second."""

        def render(self, task: Task) -> Text:
            return Text(f"{task.speed:.3g}/s" if task.speed else "", style="progress.data.speed")

    columns = ("{task.description:<20}", BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True)
