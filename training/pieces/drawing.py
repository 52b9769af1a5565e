"""A pattern piece's document made into a picture that could be a scan, a photo of paper or an export from a CAD program."""

import colorsys
import io
import math
from dataclasses import dataclass, replace
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from bundle import image
from bundle.errors import MissingExtra
from training.pieces.pen import Rng, between, chance

SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a document is drawn; lengths in parts of the picture's side, colours #rrggbb, none for no fill."""

    paper: str
    ink: str
    fill: str
    width: float  # of the outline
    thin: float  # of fold, grain and marks, as part of width
    dashes: dict[str, tuple[float, ...]]  # by class, in line widths
    allowance: float  # a second outline this far around the first; 0 for none
    turn: float  # degrees
    reach: float  # the piece's longer side
    stretch: float  # width over height, of the whole sheet
    shift: float  # how far from the middle, of the room there is
    worn: float  # 0 clean to 1: shadow, noise, blur, JPEG


WORDS = (
    "cut 2",
    "cut 1",
    "on fold",
    "fabric",
    "lining",
    "M",
    "38",
    "10-12",
    "A",
    "No. 7",
    "1 cm seam",
    "grain",
    "x2",
    "3/8",
)

CLEAN = Style(
    paper="#ffffff",
    ink="#000000",
    fill="none",
    width=0.008,
    thin=0.6,
    dashes={"cut": (), "fold": (6, 3), "grain": ()},
    allowance=0,
    turn=0,
    reach=0.9,
    stretch=1,
    shift=0,
    worn=0,
)


def draw(svg: str, rng: Rng, size: int) -> Image.Image:
    """RGB, size x size; everything that the document leaves open is drawn by chance."""
    style = pick(rng)
    sheet = render(svg, rng, style, size)
    if chance(rng, 0.15):
        lettering(sheet, rng, style.ink)
    return wear(sheet, rng, style.worn) if style.worn else sheet


def clean(svg: str, size: int) -> Image.Image:
    """RGB, size x size: a thin black line on white, upright, in the middle."""
    return render(svg, np.random.default_rng(0), CLEAN, size)


def light(rng: Rng) -> str:
    """Paper: white to grey, cream to kraft, or a pale tint."""
    kind = rng.choice(["grey", "cream", "tint"], p=[0.5, 0.35, 0.15])
    if kind == "grey":
        return colour(0, 0, between(rng, 0.75, 1))
    if kind == "cream":
        return colour(between(rng, 0.07, 0.14), between(rng, 0.05, 0.45), between(rng, 0.7, 1))
    return colour(rng.random(), between(rng, 0.03, 0.25), between(rng, 0.85, 1))


def dark(rng: Rng) -> str:
    """Ink: black to grey, or a strong colour."""
    if chance(rng, 0.6):
        return colour(0, 0, between(rng, 0, 0.4))
    return colour(rng.random(), between(rng, 0.5, 1), between(rng, 0.2, 0.65))


def colour(hue: float, strong: float, bright: float) -> str:
    return "#" + "".join(f"{round(255 * part):02x}" for part in colorsys.hsv_to_rgb(hue, strong, bright))


def pick(rng: Rng) -> Style:
    """One of five kinds of picture: clean, CAD export, blueprint, scan, cut-out paper."""
    kind = rng.choice(["clean", "cad", "blueprint", "scan", "cutout"], p=[0.34, 0.2, 0.06, 0.28, 0.12])
    style = replace(
        CLEAN,
        width=math.exp(between(rng, math.log(0.004), math.log(0.02))),
        thin=between(rng, 0.4, 1),
        dashes=dashes(rng),
        allowance=between(rng, 0.015, 0.04) if chance(rng, 0.12) else 0,
        turn=turn(rng),
        reach=between(rng, 0.62, 0.97),
        stretch=1.0 if chance(rng, 0.6) else between(rng, 0.85, 1.18),
        shift=between(rng, 0, 1),
    )
    if kind == "cad":
        return replace(style, paper=light(rng), ink=dark(rng), fill=light(rng) if chance(rng, 0.4) else "none")
    if kind == "blueprint":
        return replace(style, paper=dark(rng), ink=light(rng))
    if kind == "scan":
        return replace(style, paper=light(rng), ink=dark(rng), worn=between(rng, 0.1, 1))
    if kind == "cutout":
        tones = (dark(rng), light(rng)) if chance(rng, 0.7) else (light(rng), dark(rng))
        ink = tones[1] if chance(rng, 0.4) else dark(rng)
        return replace(style, paper=tones[0], fill=tones[1], ink=ink, worn=between(rng, 0, 1), allowance=0)
    return style


def dashes(rng: Rng) -> dict[str, tuple[float, ...]]:
    long, gap = between(rng, 3, 9), between(rng, 2, 4)
    fold = (long, gap) if chance(rng, 0.5) else (long, gap, 1, gap)
    gaps = (between(rng, 20, 90), between(rng, 0.5, 3)) if chance(rng, 0.12) else ()  # a pen that skips
    if chance(rng, 0.04):  # an outline that is dashed itself
        gaps = (long, gap)
    return {"cut": gaps, "fold": fold if chance(rng, 0.85) else (), "grain": fold if chance(rng, 0.2) else ()}


def turn(rng: Rng) -> float:
    kind = rng.choice(["none", "little", "quarter", "any"], p=[0.5, 0.4, 0.06, 0.04])
    if kind == "none":
        return 0.0
    if kind == "any":
        return between(rng, 0, 360)
    return between(rng, -10, 10) + (90 * int(rng.integers(0, 4)) if kind == "quarter" else 0)


def paths(svg: str) -> list[tuple[str, str]]:
    """(class, d) of each path in the document."""
    return [(path.attrib["class"], path.attrib["d"]) for path in ElementTree.fromstring(svg).iter(f"{SVG}path")]


def place(svg: str, rng: Rng, style: Style, size: int) -> tuple[np.ndarray, float]:
    """The 2x3 matrix that puts the piece somewhere on the sheet, and its scale."""
    points = np.array([float(word) for _, d in paths(svg) for word in d.split() if not word.isalpha()]).reshape(-1, 2)
    angle = math.radians(style.turn)
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    matrix = np.diag([math.sqrt(style.stretch), 1 / math.sqrt(style.stretch)]) @ matrix
    turned = points @ matrix.T
    low, high = turned.min(0), turned.max(0)
    margin = size * (style.width + style.allowance)
    scale = (size * style.reach - 2 * margin) / (high - low).max()
    room = size - (high - low) * scale - 2 * margin
    shift = margin + room * (0.5 + (rng.random(2) - 0.5) * style.shift) - low * scale
    return np.hstack([matrix * scale, shift[:, None]]), float(scale)


def exact(svg: str, rng: Rng, size: int) -> Image.Image:
    """RGB, size x size, every point where the document's 256 units say: dark lines on light paper, at times a little worn."""
    style = replace(CLEAN, width=math.exp(between(rng, math.log(0.004), math.log(0.012))), thin=between(rng, 0.5, 1))
    if chance(rng, 0.4):
        style = replace(style, paper=light(rng), ink=dark(rng))
    sheet = _raster(svg, style, np.array([[size / 256, 0, 0], [0, size / 256, 0]]), size / 256, size)
    return wear(sheet, rng, between(rng, 0, 0.6)) if chance(rng, 0.3) else sheet


def render(svg: str, rng: Rng, style: Style, size: int) -> Image.Image:
    """The document drawn in a style, clean."""
    matrix, scale = place(svg, rng, style, size)
    return _raster(svg, style, matrix, scale, size)


def _raster(svg: str, style: Style, matrix: np.ndarray, scale: float, size: int) -> Image.Image:
    """`matrix` (2, 3) takes the document's points to pixels and makes them `scale` times as large."""
    values = " ".join(f"{v:.4f}" for v in matrix.T.ravel())
    body = "\n".join(strokes(paths(svg), style, size / scale))
    text = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 {size} {size}">'
        f'<rect width="{size}" height="{size}" fill="{style.paper}"/><g transform="matrix({values})">{body}</g></svg>'
    )
    return raster(text, size)


def raster(svg: str, size: int) -> Image.Image:
    """RGB, size x size: a whole SVG as it stands. Raises MissingExtra."""
    try:
        import resvg_py
    except ImportError:
        raise MissingExtra("drawing needs resvg_py; install it with: pip install 'imago[train]'") from None
    return decoded(bytes(resvg_py.svg_to_bytes(svg_string=svg)), size)


def strokes(drawn: list[tuple[str, str]], style: Style, unit: float) -> list[str]:
    """The paths as SVG elements; unit is the picture's side in the document's units."""
    lines: list[str] = []
    for i, (kind, d) in enumerate(drawn):
        width = style.width * unit * (1 if i == 0 else style.thin)
        dash = " ".join(f"{part * width:.2f}" for part in style.dashes[kind]) or "none"
        fill = style.fill if i == 0 else "none"
        if i == 0 and style.allowance:
            lines += seam_allowance(d, style, unit)
        look = f'fill="{fill}" stroke="{style.ink}" stroke-width="{width:.3f}" stroke-dasharray="{dash}"'
        lines.append(f'<path d="{d}" {look} stroke-linejoin="round" stroke-linecap="round"/>')
    return lines


def seam_allowance(d: str, style: Style, unit: float) -> list[str]:
    """An outer outline: a broad stroke of ink with a little less of paper over it."""
    broad = 2 * style.allowance * unit
    inside = style.paper if style.fill == "none" else style.fill
    looks = [(style.ink, broad), (inside, broad - 2 * style.width * unit)]
    return [f'<path d="{d}" fill="{c}" stroke="{c}" stroke-width="{w:.3f}"/>' for c, w in looks if w > 0]


def lettering(sheet: Image.Image, rng: Rng, ink: str) -> None:
    """A few of the words that stand on pattern pieces; none of them says which piece it is."""
    pencil, middle = ImageDraw.Draw(sheet), sheet.width * between(rng, 0.35, 0.55)
    font = ImageFont.load_default(size=sheet.width * between(rng, 0.03, 0.06))
    words = [str(rng.choice(WORDS)) for _ in range(int(rng.integers(1, 4)))]
    pencil.text((middle * between(rng, 0.8, 1.1), middle), "\n".join(words), fill=ink, font=font)


def wear(sheet: Image.Image, rng: Rng, worn: float) -> Image.Image:
    """The same picture by way of paper, lamp, lens and JPEG."""
    size = sheet.width
    if chance(rng, 0.6):
        sheet = sheet.filter(ImageFilter.GaussianBlur(between(rng, 0, 0.006) * worn * size))
    pixels = np.asarray(sheet, np.float32)
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    angle = between(rng, 0, 2 * math.pi)
    shade = 1 + worn * between(rng, 0, 0.3) * (across * math.cos(angle) + down * math.sin(angle))
    shade -= worn * between(rng, 0, 0.2) * (across**2 + down**2)
    rough = rng.normal(0, worn * between(rng, 0.5, 9), (size, size, 1))
    rough += blotches(rng, size) * worn * between(rng, 0, 9)
    dimmed = pixels * shade[..., None] * between(rng, 1 - 0.3 * worn, 1) + rough
    sheet = Image.fromarray(np.clip(dimmed, 0, 255).astype(np.uint8))
    return through_jpeg(sheet, int(rng.integers(30, 90))) if chance(rng, 0.6) else sheet


def blotches(rng: Rng, size: int) -> np.ndarray:
    """Soft noise of paper and cloth, about -1 to 1."""
    coarse = rng.normal(0, 90, (int(rng.integers(3, 24)),) * 2)
    soft = Image.fromarray(np.clip(coarse + 128, 0, 255).astype(np.uint8)).resize(
        (size, size), Image.Resampling.BICUBIC
    )
    return (np.asarray(soft, np.float32)[..., None] - 128) / 90


def through_jpeg(sheet: Image.Image, quality: int) -> Image.Image:
    data = io.BytesIO()
    sheet.save(data, "JPEG", quality=quality)
    return decoded(data.getvalue(), sheet.width)


def decoded(data: bytes, size: int) -> Image.Image:
    spec = image.Preprocess(height=size, width=size, resize="squash", resample="bilinear", color="rgb")
    return image.decode(data, spec)
