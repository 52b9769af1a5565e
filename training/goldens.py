"""Golden pictures for a new bundle: given by the user, taken from the data, or drawn."""

from pathlib import Path

from bundle.errors import DataError
from training.data.photos import Photo, Photos
from training.progress import Progress
from training.run import Run

COUNT = 3
# A bundle is copied often; its golden pictures should not be what makes it heavy.
LARGEST_BYTES = 300_000
MOST = 16


def given(run: Run) -> dict[str, bytes]:
    """The pictures that the command line asks for, under neutral names; none where it leaves the choice to us."""
    if run.golden:
        return _named(
            sorted(path for path in run.golden.iterdir() if path.is_file()) if run.golden.is_dir() else [], run.golden
        )
    return {} if run.photos_in_bundle else drawn()


def of_data(photos: Photos, progress: Progress) -> dict[str, bytes]:
    """A few validation photos, the same ones each time."""
    small = [photo for photo in photos.validation if photo.path.stat().st_size <= LARGEST_BYTES]
    chosen = sorted(small or photos.validation, key=_by_content)[:COUNT]
    progress.note(
        f"{len(chosen)} validation photos go into the bundle as golden pictures; "
        "--no-photos draws some instead, --golden DIR takes yours"
    )
    return _named([photo.path for photo in chosen], photos.validation[0].path.parent)


def drawn() -> dict[str, bytes]:
    """Garment pieces, for any model: what they are called matters less than that it stays the same."""
    from training import pieces

    labels = enumerate(pieces.LABELS[:COUNT])
    return {f"{number}.png": pieces.png(pieces.picture(label, seed=0, index=number)[1]) for number, label in labels}


def _by_content(photo: Photo) -> str:
    return photo.sha256


def _named(paths: list[Path], where: Path) -> dict[str, bytes]:
    if not 1 <= len(paths) <= MOST:
        raise DataError(f"{where}: {len(paths)} golden pictures; wanted a folder with 1 to {MOST}")
    return {f"{number}{path.suffix.lower()}": path.read_bytes() for number, path in enumerate(paths)}
