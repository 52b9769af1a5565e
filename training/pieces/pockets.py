"""Pockets, their flaps and their bags."""

from training.pieces.pen import Pen, Rng, between, box, chance, halved


def patch_pocket(rng: Rng) -> Pen:
    wide = between(rng, 9, 22)
    high = wide * between(rng, 0.9, 1.45)
    corners = str(rng.choice(["ssss", "ssrr", "sscc", "ssrs", "ccss"]))
    pen = box(rng, wide, high, corners, wide * between(rng, 0.1, 0.45))
    return top_hem(rng, pen, wide, high)


def top_hem(rng: Rng, pen: Pen, wide: float, high: float) -> Pen:
    if chance(rng, 0.35):
        drop = 1j * high * between(rng, 0.12, 0.22)
        pen.mark("fold", drop, wide + drop)
    return pen


def pointed_pocket(rng: Rng) -> Pen:
    """A shirt's or the back of jeans': narrower below, with a point."""
    wide = between(rng, 10, 18)
    high, narrow = wide * between(rng, 0.8, 1.15), wide * between(rng, 0, 0.1)
    pen = Pen(0).line(wide, complex(wide - narrow, high))
    pen.line(complex(wide / 2, high + wide * between(rng, 0.08, 0.25)), complex(narrow, high))
    return top_hem(rng, pen, wide, high)


def flap(rng: Rng) -> Pen:
    wide = between(rng, 10, 18)
    high = wide * between(rng, 0.3, 0.5)
    if chance(rng, 0.3):
        return Pen(0).line(wide, complex(wide, high * 0.75), complex(wide / 2, high * 1.2), 0.75j * high)
    return box(rng, wide, high, str(rng.choice(["ssrr", "sscc", "ssrs"])), high * between(rng, 0.25, 0.6))


def pocket_bag(rng: Rng) -> Pen:
    """The bag of a trouser front pocket: upright, its opening slanted or scooped, its bottom round."""
    wide = between(rng, 13, 20)
    high, slant = wide * between(rng, 1.2, 2), wide * between(rng, 0.15, 0.75)
    mouth = 1j * high * between(rng, 0.35, 0.85)
    pen = Pen(complex(slant)).line(wide, complex(wide, high))
    if chance(rng, 0.75):
        cut = wide * between(rng, 0.25, 0.5)
        foot = complex(-between(rng, 0, 2), high - between(rng, 0, 2))
        pen.line(foot + cut).turn(foot - 1j * min(cut, (high - mouth.imag) * 0.8), foot)
    else:
        pen.line(1j * high)
    if pen.at.imag - mouth.imag > 1:
        pen.line(mouth)
    return pen.turn(complex(slant), complex(slant, mouth.imag), 0.6) if chance(rng, 0.25) else pen


def tall_bag(rng: Rng) -> Pen:
    """The bag behind a welt, or one hung in a side seam."""
    wide = between(rng, 13, 20)
    high = wide * between(rng, 1.2, 2.2)
    if chance(rng, 0.6):
        return box(rng, wide, high, str(rng.choice(["ssrr", "ssss", "ccrr", "rrss"])), wide * between(rng, 0.1, 0.4))
    pen = (
        Pen(0)
        .line(complex(wide * 0.4, 0))
        .curve(complex(wide * 0.7, high * 0.35), complex(wide * 1.4, high), complex(wide * 0.6, high))
    )
    return pen.curve(complex(wide * 0.3, high), complex(0, high * 0.9), 1j * high * 0.75)


def kangaroo_pocket(rng: Rng) -> Pen:
    top, wide, high = between(rng, 7, 12), between(rng, 14, 19), between(rng, 16, 24)
    corner = complex(wide, high * between(rng, 0.5, 0.85))
    pen = Pen(0).line(complex(top)).bow(corner, between(rng, 0, 0.15)).line(complex(wide, high), 1j * high)
    return halved(rng, pen, 0.15)
