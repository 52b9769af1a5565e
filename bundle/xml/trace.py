"""The outlines drawn in a picture, as closed lines through the middle of the stroke; numpy alone, a few milliseconds.

Ink is what differs from the paper, and the paper is what reaches the picture's edge: whatever it does not reach is a piece.
"""

from dataclasses import dataclass

import numpy as np

# Of the longer side, in pixels: larger pictures are averaged down, since a stroke is wide enough there.
MOST_SIDE = 1024
# Of the picture's area: smaller ones are specks.
LEAST_AREA = 0.002
MOST_OUTLINES = 24
# Of the ink's darkness: a line of one pixel between two pixels still counts.
LEVEL = 0.4
# Of 255: what differs less from the paper is noise.
LEAST_INK = 12
# How far into a piece the other side of its stroke is looked for, of the picture's side.
MOST_STROKE = 0.04
LEAST_SIDE = 16
POINTS = 400  # of an outline

# What tells a drawn line from what else has an edge, measured on drawings, photographs, pages and noise: of a drawing's points
# at least 95 % have the stroke's other side within reach and 96 % of the widths agree; of a photograph's at most 85 % do. A
# filled piece without a line has that other side nowhere; then the edge must be smooth, and not the picture's own.
LEAST_LINED, LEAST_EVEN = 0.7, 0.88
MOST_LINED, MOST_ROUGH = 0.1, 1.1
MOST_AT_EDGE = 0.1
MOST_STEPS = 20_000  # around it, from pixel to pixel


@dataclass(frozen=True)
class Outline:
    """Clockwise as seen (y grows downwards), evenly spaced."""

    points: np.ndarray  # float64 (n, 2), x and y in the drawing's units


def trace(picture: np.ndarray, *, unit: float, resize: str) -> list[Outline]:
    """Largest first. `picture` is uint8 (h, w) or (h, w, 3); the drawing is `unit` wide and high, and was put on the picture by
    `resize` as in Preprocess."""
    picture = _small(picture)
    if min(picture.shape[:2]) < LEAST_SIDE:
        return []
    ink = np.pad(_ink(picture), 1)
    solid = ~_reached(ink <= LEVEL)
    labels, count = _components(solid, diagonal=True)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    found: list[Outline] = []
    for label in np.argsort(-sizes, kind="stable")[: 2 * MOST_OUTLINES]:
        if sizes[label] < max(LEAST_AREA * ink.size, 16) or len(found) == MOST_OUTLINES:
            break
        part = labels == label
        rough = _boundary(part, ink) if _at_edge(part) < MOST_AT_EDGE else None
        line = None if rough is None else _centred(rough, ink)
        if line is not None:
            found.append(Outline(_placed(line - 1, picture.shape, unit, resize)))
    return found


# ---- ink and paper --------------------------------------------------------------------------


def _small(picture: np.ndarray) -> np.ndarray:
    """uint8 or float32 (h, w, channels)."""
    picture = picture.reshape(*picture.shape[:2], -1)
    if picture.shape[2] == 3 and all(np.array_equal(picture[..., 0], picture[..., at]) for at in (1, 2)):
        picture = picture[..., :1]
    factor = -(-max(picture.shape[:2]) // MOST_SIDE)
    if factor == 1:
        return picture
    height, width = (side // factor for side in picture.shape[:2])  # of a very long one none is left
    if not height or not width:
        return picture[:0, :0]
    blocks = picture[: height * factor, : width * factor].reshape(height, factor, width, factor, -1)
    small: np.ndarray = blocks.mean((1, 3), dtype=np.float32)
    return small


def _ink(picture: np.ndarray) -> np.ndarray:
    """Float32 (h, w): 0 where there is paper, about 1 in the middle of a stroke."""
    y, x = (np.linspace(-1, 1, side, dtype=np.float32) for side in picture.shape[:2])
    ink = np.zeros(picture.shape[:2], np.float32)
    for channel, paper in enumerate(_paper(picture, y, x)):
        one, along_x, along_y, both, bent_x, bent_y = paper
        light = (one + along_y * y + bent_y * y * y)[:, None] + (along_x + both * y)[:, None] * x + bent_x * x * x
        np.maximum(ink, np.abs(picture[..., channel] - light), out=ink)
    sample = ink[::2, ::2]
    dark = float(np.percentile(sample, 99.8))
    if dark < LEAST_INK:
        return np.zeros(ink.shape, np.float32)
    return ink / np.median(sample[sample > dark / 2])


def _paper(picture: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Float32 (channels, 6): the paper's colour as a sum of 1, x, y, xy, xx, yy, since light changes slowly over a sheet."""
    step = max(1, max(picture.shape) // 64)
    seen = picture[::step, ::step].astype(np.float32).reshape(-1, picture.shape[2])
    y, x = (axis.ravel() for axis in np.meshgrid(y[::step], x[::step], indexing="ij"))
    terms = np.stack([np.ones_like(x), x, y, x * y, x * x, y * y], 1)
    kept = (np.abs(x) > 0.9) | (np.abs(y) > 0.9)
    weights = np.zeros((6, seen.shape[1]), np.float32)
    weights[0] = np.median(seen[kept], 0)
    kept &= np.abs(seen - weights[0]).max(1) < 60
    for _ in range(3):
        if kept.sum() < 24:
            break
        square = terms[kept].T @ terms[kept] + 1e-3 * np.eye(6, dtype=np.float32)
        weights = np.linalg.solve(square, terms[kept].T @ seen[kept])
        off = np.abs(seen - terms @ weights).max(1)
        kept = off < max(6.0, 3 * float(np.median(off[kept])))
    return weights.T


def _reached(paper: np.ndarray) -> np.ndarray:
    """The part of the mask that hangs together with its first pixel."""
    labels, _ = _components(paper, diagonal=False)
    reached: np.ndarray = labels == labels[0, 0]
    return reached


def _components(mask: np.ndarray, *, diagonal: bool) -> tuple[np.ndarray, int]:
    """int (h, w): 0 outside of the mask, 1 ... in its parts; and how many parts there are."""
    height, width = mask.shape
    edges = np.diff(
        np.pad(mask, ((0, 0), (1, 1))).astype(np.int8).ravel()
    )  # rows end with an empty pixel, so none runs on
    starts, ends = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    if not len(starts):
        return np.zeros(mask.shape, np.int64), 0
    stride = width + 2
    reach = int(diagonal)
    # the runs of the row below that touch a run: those that end after its start and start before its end
    first = np.searchsorted(ends, starts + stride - reach, side="right")
    last = np.searchsorted(starts, ends + stride + reach, side="left")
    counts = np.maximum(last - first, 0)
    upper = np.repeat(np.arange(len(starts)), counts)
    lower = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    names, parts = np.unique(_joined(len(starts), upper, lower), return_inverse=True)
    filled = np.zeros(height * stride + 1, np.int64)
    np.add.at(filled, starts + 1, parts + 1)
    np.add.at(filled, ends + 1, -(parts + 1))
    return np.cumsum(filled)[: height * stride].reshape(height, stride)[:, 1:-1], len(names)


def _joined(count: int, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The smallest of all that each is tied to by the pairs: neighbours' names spread, then names' own names."""
    names = np.arange(count)
    while True:
        before = names.copy()
        least = np.minimum(names[left], names[right])
        np.minimum.at(names, names[left], least)
        np.minimum.at(names, names[right], least)
        names = names[names]
        if (names == before).all():
            return names


# ---- outlines -------------------------------------------------------------------------------


def _boundary(part: np.ndarray, ink: np.ndarray) -> np.ndarray | None:
    """Float64 (n, 2): where the ink reaches its level, once around the part, clockwise from its first pixel; pixels' middles are whole.

    None for one so long that nobody drew it."""
    width = part.shape[1]
    cells = part.tobytes()
    # by direction (east, south, west, north): the step between corners; the pixels ahead, on the left and on the right, of a corner
    steps = (1, width, -1, -width)
    left = (-width, 0, -1, -width - 1)
    right = (0, -1, -width - 1, -width)
    corner = start = int(part.argmax())
    heading, insides, outsides = 0, [], []
    while True:
        insides.append(corner + right[heading])
        outsides.append(corner + left[heading])
        corner += steps[heading]
        if cells[corner + left[heading]]:
            heading = (heading - 1) % 4
        elif not cells[corner + right[heading]]:
            heading = (heading + 1) % 4
        if corner == start and heading == 0:
            break
        if len(insides) > MOST_STEPS:
            return None
    inside, outside = np.array(insides), np.array(outsides)
    flat = ink.ravel()
    low, high = flat[outside], np.where(flat[inside] > LEVEL, flat[inside], 1.0)
    share = ((LEVEL - low) / (high - low))[:, None]
    corners = [np.stack([at % width, at // width], 1) for at in (outside, inside)]
    line: np.ndarray = corners[0] * (1 - share) + corners[1] * share
    return line


def _spaced(line: np.ndarray, count: int) -> np.ndarray:
    """A closed line's points, evenly spaced along it."""
    closed = np.vstack([line, line[:1]])
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    at = np.linspace(0, along[-1], count, endpoint=False)
    return np.stack([np.interp(at, along, closed[:, axis]) for axis in (0, 1)], 1)


def _centred(rough: np.ndarray, ink: np.ndarray) -> np.ndarray | None:
    """Evenly spaced, in the middle of the stroke, or at the edge of a piece that is filled and has none. None for what nobody drew."""
    line = _spaced(rough, POINTS)
    ahead = np.roll(line, -1, 0) - np.roll(line, 1, 0)
    normals = np.stack([-ahead[:, 1], ahead[:, 0]], 1) / np.maximum(np.hypot(*ahead.T), 1e-9)[:, None]
    depth = np.arange(0.5, max(ink.shape) * MOST_STROKE, 0.5)
    profile = _sampled(ink, line[:, None] + normals[:, None] * depth[:, None])
    over = profile <= LEVEL
    lined = over.any(1)
    if lined.mean() < MOST_LINED:
        smooth = (np.roll(line, 2, 0) + np.roll(line, 1, 0) + line + np.roll(line, -1, 0) + np.roll(line, -2, 0)) / 5
        return line if _length(rough) < MOST_ROUGH * _length(smooth) else None
    at = over[lined].argmax(1)
    rows = np.arange(len(at))
    high, low = profile[lined][rows, np.maximum(at - 1, 0)], profile[lined][rows, at]
    widths = depth[at] - 0.5 * np.where(high > low, (LEVEL - low) / np.maximum(high - low, 1e-6), 0).clip(0, 1)
    width = float(np.median(widths))
    even = np.abs(widths - width) <= max(1.0, 0.35 * width)
    if lined.mean() < LEAST_LINED or even.mean() < LEAST_EVEN:
        return None
    moved: np.ndarray = line + normals * width / 2
    return moved


def _length(line: np.ndarray) -> float:
    return float(np.hypot(*(np.roll(line, -1, 0) - line).T).sum())


def _at_edge(part: np.ndarray) -> float:
    """How much of the picture's edge, which lies one pixel inwards here, it covers."""
    edge = np.concatenate([part[1, 1:-1], part[-2, 1:-1], part[1:-1, 1], part[1:-1, -2]])
    return float(edge.mean())


def _sampled(field: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Bilinear; outside of the field its edge goes on."""
    x = at[..., 0].clip(0, field.shape[1] - 1.001)
    y = at[..., 1].clip(0, field.shape[0] - 1.001)
    column, row = x.astype(int), y.astype(int)
    x, y = x - column, y - row
    top = field[row, column] * (1 - x) + field[row, column + 1] * x
    low = field[row + 1, column] * (1 - x) + field[row + 1, column + 1] * x
    sampled: np.ndarray = top * (1 - y) + low * y
    return sampled


def _placed(line: np.ndarray, shape: tuple[int, ...], unit: float, resize: str) -> np.ndarray:
    """From pixels to the drawing's units."""
    size = np.array([shape[1], shape[0]], float)
    whole = {"squash": size, "pad": np.full(2, size.max()), "crop": np.full(2, size.min())}[resize]
    placed: np.ndarray = (line + 0.5 + (whole - size) / 2) * unit / whole
    return placed
