"""Golden pictures for a new bundle: given by the user, taken from the data, or drawn."""

from collections.abc import Sequence

from bundle import golden
from training.data.photos import Photo
from training.progress import Progress
from training.run import Run
from training.xml_run import XmlRun

COUNT = 3
# A bundle is copied often; its golden pictures should not be what makes it heavy.
LARGEST_BYTES = 300_000


def given(run: Run | XmlRun) -> dict[str, bytes]:
    """The pictures that the command line asks for; none where it leaves the choice to us. Raises DataError."""
    if run.golden:
        return golden.from_folder(run.golden, run.preprocess)
    return {} if run.photos_in_bundle else drawn()


def of_data(photos: Sequence[Photo], progress: Progress) -> dict[str, bytes]:
    """A few of these (validation) photos, the same ones each time."""
    small = [photo for photo in photos if _size(photo) <= LARGEST_BYTES]
    chosen = sorted(small or photos, key=_by_content)[:COUNT]
    progress.note(
        f"{len(chosen)} validation photos go into the bundle as golden pictures; "
        "--no-photos draws some instead, --golden DIR takes yours"
    )
    return {f"{number}{_suffix(photo)}": photo.read() for number, photo in enumerate(chosen)}


def drawn() -> dict[str, bytes]:
    """Garment pieces, for any model: what they are called matters less than that it stays the same."""
    from training import pieces

    labels = enumerate(pieces.LABELS[:COUNT])
    return {f"{number}.png": pieces.png(pieces.picture(label, seed=0, index=number)[1]) for number, label in labels}


def _by_content(photo: Photo) -> str:
    return photo.sha256


def _size(photo: Photo) -> int:
    return photo.path.stat().st_size if photo.offset is None else len(photo.read())


def _suffix(photo: Photo) -> str:
    """A picture in a .rec has no name; im2rec writes JPEG or PNG."""
    if photo.offset is None:
        return photo.path.suffix.lower()
    return ".png" if photo.read().startswith(b"\x89PNG") else ".jpg"
