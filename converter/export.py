"""From a bundle to the files of other runtimes, each checked against the bundle before it counts."""

import fcntl
import json
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bundle import store
from bundle.errors import BundleError
from converter import parity, pictures, xml_check, xml_files, xml_formats
from converter.about import calibration, refusing, stated
from converter.artifact import Job, Quantize
from converter.formats import Format
from converter.parity import Truth
from converter.subject import Subject

RECORD = "export.json"


@dataclass(frozen=True, kw_only=True)
class Export:
    """What is asked for."""

    subject: Subject
    out: Path
    quantize: Quantize | None = None
    calibrate: Path | None = None  # folder of pictures for int8
    pictures: Path | None = None  # folder of pictures to compare on besides

    @property
    def xml(self) -> bool:
        return self.subject.manifest.kind == "xml"

    @cached_property
    def calibration(self) -> np.ndarray | None:
        """uint8 (n, h, w, 3), or None."""
        if self.calibrate is None:
            return None
        return pictures.folder(self.calibrate, self.subject.spec, pictures.MOST_CALIBRATION)

    @cached_property
    def truth(self) -> Truth:
        """What every format is compared with."""
        sets = {"golden": pictures.golden(self.subject), "drawn": pictures.drawn(self.subject.spec)}
        if self.calibration is not None:
            sets["calibration"] = self.calibration
        if self.pictures is not None:
            sets["pictures"] = pictures.folder(self.pictures, self.subject.spec)
        return Truth(subject=self.subject, pictures=sets)

    @cached_property
    def more(self) -> np.ndarray:
        """uint8 (n, h, w, 3): what a model that makes XML is compared on besides, which may be nothing."""
        spec = self.subject.spec
        if self.pictures is None:
            return np.zeros((0, spec.height, spec.width, 3), np.uint8)
        return pictures.folder(self.pictures, spec)

    def ready(self) -> None:
        """Reads all pictures, so that a wrong folder is told before minutes of work. Raises DataError."""
        _ = self.more if self.xml else self.truth.pictures

    def calibrates(self, forms: Iterable[Format]) -> None:
        """Raises BundleError where one of them is to be int8 and has no pictures for it."""
        for form in forms:
            if self.quantize == "int8" and form.calibrated:
                calibration(self.calibration, form.name)

    @property
    def bound(self) -> dict[str, Any]:
        """What may be off."""
        if self.xml:
            return xml_check.bound(xml_files.precision(self.quantize))
        return asdict(self.truth.allowed(self.quantize))

    def home(self, form: Format) -> Path:
        """OUT/FORMAT, or OUT/FORMAT-QUANTIZE."""
        return self.out / (f"{form.name}-{self.quantize}" if self.quantize else form.name)

    def job(self, folder: Path) -> Job:
        return Job(subject=self.subject, folder=folder, quantize=self.quantize, calibration=self.calibration)


def write(export: Export, form: Format) -> dict[str, Any]:
    """Writes one format into its folder and returns its record. Raises BundleError, and leaves what stood there, where it is not what the bundle is."""
    able(export, form)
    home = export.home(form)
    with refusing(home, "written", "see to that and export the bundle again"), _alone(home) as temporary:
        if not _replaceable(home):
            raise BundleError(
                f"{home}: something else than an export stands there; move it away or choose another --out"
            )
        made = temporary / home.name
        made.mkdir()
        _fill(export, form, made)
        record = {**_record(export, form, made), **stated(export.subject)}
        (made / RECORD).write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if home.exists():
            home.rename(temporary / "before")
        made.rename(home)
    return record


@contextmanager
def _alone(home: Path) -> Iterator[Path]:
    """An empty folder beside `home` that no other export uses meanwhile; what one that was killed left in it is removed. Raises BundleError."""
    temporary = home.with_name(f".tmp-{home.name}")
    temporary.mkdir(parents=True, exist_ok=True)
    handle = os.open(temporary, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BundleError(f"{home}: another export is writing there; wait for it or choose another --out") from None
        try:
            for left in temporary.iterdir():
                shutil.rmtree(left)
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    finally:
        os.close(handle)


def _replaceable(home: Path) -> bool:
    """Nothing, an empty folder or an export."""
    return not home.exists() or (home / RECORD).is_file() or (home.is_dir() and not any(home.iterdir()))


def check(export: Export, form: Format) -> dict[str, Any]:
    """The record of an export that was written before, compared once more; nothing is written. Raises BundleError."""
    home = export.home(form)
    if not home.is_dir():
        raise BundleError(f"{home}: no such export; leave --check-only out to write it")
    if (home / RECORD).is_file():
        _unchanged(export, home)
    return _record(export, form, home)


def able(export: Export, form: Format) -> None:
    """Raises BundleError where the format cannot hold what is asked for."""
    if export.xml:
        xml_formats.known(Job(subject=export.subject, folder=export.out, quantize=export.quantize), form.name)
    elif export.quantize and export.quantize not in (known := form.quantize):
        words = f"; it knows {' and '.join(sorted(known))}" if known else ""
        raise BundleError(f"{form.name} has no {export.quantize} here{words}; leave --quantize out")
    if export.subject.manifest.source != "keras" and form.layers:
        raise BundleError(
            f"{form.name} is made of layers, and {export.subject.title} has none: its source is an ONNX file; choose --to onnx"
        )


def _fill(export: Export, form: Format, folder: Path) -> None:
    if export.xml:
        xml_formats.write(export.job(folder), form.name)
    else:
        form.load().write(export.job(folder))


def _record(export: Export, form: Format, folder: Path) -> dict[str, Any]:
    """What is written beside the files; the same for the same bundle, versions and pictures. Raises BundleError where they are not what the bundle is."""
    subject = export.subject
    manifest = subject.manifest
    own = {"labels": subject.labels, **manifest.model_dump(mode="json", include={"scores", "thresholds"})}
    return {
        "format": form.name,
        "quantize": export.quantize,
        **manifest.model_dump(mode="json", include={"name", "id", "kind", "preprocess"}),
        **({} if export.xml else own),
        "versions": form.versions,
        "bound": export.bound,
        "checked": _checked(export, form, folder),
        "files": {path: _file(folder / path) for path in _paths(folder)},
    }


def _checked(export: Export, form: Format, folder: Path) -> list[dict[str, Any]]:
    """A file each, and how well it agrees."""
    job = export.job(folder)
    artifacts = xml_formats.read(job, form.name) if export.xml else form.load().read(job)
    return [
        {
            "file": artifact.path.relative_to(folder).as_posix(),
            "runtime": artifact.runtime,
            "figures": _figures(export, artifact),
        }
        for artifact in artifacts
    ]


def _figures(export: Export, artifact: Any) -> dict[str, Any]:
    if export.xml:
        return asdict(xml_check.check(export.subject, artifact, export.more))
    found = parity.check(export.truth, artifact, export.quantize)
    return {name: asdict(figures) for name, figures in found.items()}


def _paths(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file() and path.name != RECORD
    )


def _file(path: Path) -> dict[str, Any]:
    return {"sha256": store.sha256(path), "size": path.stat().st_size}


def _unchanged(export: Export, home: Path) -> None:
    """Every file is as it was written. Raises BundleError."""
    try:
        record = json.loads((home / RECORD).read_text(encoding="utf-8"))
        files, found = record["files"], record["id"]
        wanted = {path: files[path]["sha256"] for path in files}
    except (ValueError, KeyError, TypeError):
        raise BundleError(f"{home / RECORD}: damaged; export it again") from None
    if found != export.subject.manifest.id:
        raise BundleError(f"{home}: made of another bundle, {str(found)[:8]}; {export.subject.title} wanted")
    for path in sorted({*wanted, *_paths(home)}):
        if path not in wanted:
            raise BundleError(f"{home / path}: was not exported; move it away")
        if not (home / path).is_file():
            raise BundleError(f"{home / path}: missing; export it again")
        if store.sha256(home / path) != wanted[path]:
            raise BundleError(f"{home / path}: was changed after it was exported (sha256 differs); export it again")
