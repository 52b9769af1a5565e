"""What a picture's header says that decoding holds is no less than what it does hold."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

SIZE = (3000, 2000)
TURNED = {"exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"}
SAVES = {
    "PNG": ("RGB", "PNG", {}),
    "turned PNG": ("RGB", "PNG", TURNED),
    "PNG with a transparent colour": ("RGB", "PNG", {"transparency": (0, 0, 0)}),
    "turned PNG with alpha": ("RGBA", "PNG", TURNED),
    "grey PNG with alpha": ("LA", "PNG", {}),
    "turned grey PNG": ("L", "PNG", TURNED),
    "PNG of 16 bits": ("I;16", "PNG", TURNED),
    "PNG with a transparent colour of its palette": ("P", "PNG", {"transparency": 1} | TURNED),
    "GIF": ("P", "GIF", {"transparency": 1}),
    "BMP": ("RGB", "BMP", {}),
    "progressive JPEG": ("RGB", "JPEG", {"progressive": True, "subsampling": 0} | TURNED),
    "progressive CMYK": ("CMYK", "JPEG", {"progressive": True, "subsampling": 0} | TURNED),
    "lossy WebP": ("RGB", "WEBP", {"method": 0} | TURNED),
    "lossless WebP with alpha": ("RGBA", "WEBP", {"lossless": True, "method": 0, "quality": 0} | TURNED),
}

PEAK = """
import pathlib, sys
from bundle import image
status = lambda name: int(pathlib.Path("/proc/self/status").read_text().split(name)[1].split()[0]) << 10
spec = image.Preprocess(height=4000, width=4000, resize="squash", resample="bilinear", color="rgb")
data = pathlib.Path(sys.argv[1]).read_bytes()
image.decode(pathlib.Path(sys.argv[2]).read_bytes(), spec)
before = status("VmRSS:")
header = image.header(data, spec)
image.load(header)
print(status("VmHWM:") - before, header.held)
"""


def picture(mode):
    """Soft colours, as the decoders' tables want them: a picture of one colour would be coded too well."""
    if mode == "I;16":
        return Image.fromarray(np.full(SIZE[::-1], 30_000, np.uint16))
    coarse = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    large = Image.fromarray(coarse).resize(SIZE, Image.Resampling.NEAREST)
    return large.quantize(16) if mode == "P" else large.convert(mode)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")
@pytest.mark.parametrize("name", SAVES)
def test_decoding_holds_no_more_than_the_header_says(encoded, tmp_path, name):
    mode, form, save = SAVES[name]
    for file, image in {"large": picture(mode), "small": picture(mode).crop((0, 0, 9, 9))}.items():
        (tmp_path / file).write_bytes(encoded(image, form, **save))
    command = [sys.executable, "-c", PEAK, tmp_path / "large", tmp_path / "small"]
    peak, held = map(
        int, subprocess.run(command, capture_output=True, text=True, timeout=600, check=True).stdout.split()
    )
    print(f"\n{name}: {peak / 6e6:.1f} of {held / 6e6:.1f} bytes a pixel")
    assert peak < held + (8 << 20)
    assert held < 30 * SIZE[0] * SIZE[1]


def test_baseline_jpeg_holds_what_is_left_when_it_is_shrunk(photo, spec):
    from bundle.image import header

    assert header(photo(4000, 3000), spec).held == 500 * 375 * 8
