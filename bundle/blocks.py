"""What the blocks of a JPEG or PNG say, told without a decoder."""

import re
from collections.abc import Iterator
from itertools import islice

from bundle.errors import BadPicture

# More than an honest file has. Pillow looks at each block in Python, so 32 MB of empty ones took it 17 s; libjpeg goes
# over the whole picture once a scan, and savers of progressive JPEG write about 10.
MAX_BLOCKS = 20_000
MAX_SCANS = 200

# Of a JPEG, with the fill bytes before it; not a stuffed zero, a restart or anything else that has no length.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])")


def check(data: bytes) -> None:
    """Neither more blocks nor more scans than a decoder gets through in a moment."""
    blocks = scans = 0
    for scan in _blocks(data):
        blocks, scans = blocks + 1, scans + scan
        if blocks > MAX_BLOCKS or scans > MAX_SCANS:
            what = f"{MAX_SCANS} scans" if scans > MAX_SCANS else f"{MAX_BLOCKS} blocks of data"
            raise BadPicture(f"the picture has more than {what}; save it again")


def _blocks(data: bytes) -> Iterator[bool]:
    """Every block that a decoder meets on its way through a JPEG or PNG; True for one that starts a JPEG's scan."""
    if data[:2] == b"\xff\xd8":
        whole = one_scan(data)
        for marker, _ in _segments(data):
            yield marker == 0xDA
            if whole and marker == 0xDA:
                return
    at = 8
    while data[:4] == b"\x89PNG" and at + 8 <= len(data) and data[at + 4 : at + 8] != b"IEND":
        yield False
        at += 12 + int.from_bytes(data[at : at + 4])


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Marker and place (of the length behind it) of a JPEG's segments, to the end of the image (ITU T.81, B.1)."""
    at = 2
    while (found := _MARKER.search(data, at)) and found[1] != b"\xd9":
        at = found.end()
        yield found[1][0], at
        at += int.from_bytes(data[at : at + 2])


def one_scan(data: bytes) -> bool:
    """Whether a JPEG holds all colours in one sequential scan; only then does it decode (and shrink) row by row.

    Otherwise libjpeg keeps all coefficients of the full picture in memory, whatever the scale (ITU T.81, B.2).
    """
    colours = 0
    for marker, at in islice(_segments(data), MAX_BLOCKS):
        if marker in (0xC0, 0xC1) and at + 7 < len(data):
            colours = data[at + 7]
        if marker == 0xDA:
            return colours > 0 and at + 2 < len(data) and data[at + 2] == colours
    return False
