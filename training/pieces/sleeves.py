"""Sleeves and cuffs."""

from training.pieces.pen import Pen, Rng, between, box, chance, ring


def sleeve(rng: Rng) -> Pen:
    """A set-in or knit sleeve: the cap from the left underarm over the top to the right one, then the hem."""
    half = between(rng, 14, 24)
    cap = half * float(rng.choice([between(rng, 0.55, 1.05), between(rng, 0.2, 0.55)], p=[0.65, 0.35]))
    length = float(rng.choice([between(rng, 36, 50), between(rng, 20, 34), between(rng, 1.5, 14)], p=[0.55, 0.15, 0.3]))
    narrow = between(rng, 0.5, 1.0) if length > 18 else between(rng, 0.8, 1.02)
    wrist = half * (narrow if chance(rng, 0.88) else between(rng, 1.0, 1.5))
    top, flat, steep = complex(between(rng, -2, 2), -cap), between(rng, 0.15, 0.45), between(rng, 0.2, 0.6)
    pen = Pen(-half).curve(-half * (1 - flat), complex(-half * steep, -cap), top)
    flat, steep = flat + between(rng, -0.06, 0.1), steep + between(rng, -0.08, 0.08)
    pen.curve(complex(half * steep, -cap), half * (1 - flat), half)
    return sleeve_end(rng, pen, complex(wrist, length))


def sleeve_end(rng: Rng, pen: Pen, corner: complex) -> Pen:
    """From the right underarm down, along the wrist, and up to the left."""
    start, left = pen.steps[0][0], -corner.conjugate()
    bend = between(rng, 0, 0.05) if chance(rng, 0.3) else 0.0
    pen.bow(corner, bend) if bend else pen.line(corner)
    if chance(rng, 0.7):
        pen.line(left)
    else:
        pen.bow(left, between(rng, -0.08, 0.06))
    if chance(rng, 0.12):
        pen.mark("cut", left * 0.5 + 1j * corner.imag * 0.5, complex(left.real * 0.5, corner.imag * 0.75))
    return pen.bow(start, bend) if bend else pen


def raglan_sleeve(rng: Rng) -> Pen:
    half, cap = between(rng, 15, 23), between(rng, 16, 30)
    top, corner = between(rng, 2.5, 6), complex(half * between(rng, 0.5, 0.95), between(rng, 5, 50))
    left, right = complex(-top, -cap - between(rng, 0, 3)), complex(top, -cap + between(rng, 0, 2))
    pen = Pen(-half).curve(-half + complex(half * 0.3, -2), left + complex(-half * 0.15, cap * 0.4), left)
    if chance(rng, 0.3):  # the dart over the shoulder
        pen.notch(right, 0.5, abs(right - left) * 0.4, between(rng, 6, 12))
    else:
        pen.bow(right, between(rng, 0, 0.15))
    pen.curve(right + complex(half * 0.15, cap * 0.4), half - complex(half * 0.3, 2), complex(half))
    return sleeve_end(rng, pen, corner)


def top_sleeve(rng: Rng) -> Pen:
    """The upper part of a two-piece sleeve, bent at the elbow."""
    wide, cap, length = between(rng, 17, 25), between(rng, 10, 16), between(rng, 38, 52)
    bend, wrist = between(rng, 0, 3), between(rng, 10, 16)
    peak, under = complex(wide * between(rng, 0.45, 0.6), -cap), complex(wide, -cap * between(rng, 0.1, 0.5))
    pen = Pen(0).curve(complex(0.5, -cap * 0.6), complex(peak.real * 0.4, -cap), peak)
    pen.curve(complex(wide * 0.85, -cap), under - complex(0.5, cap * 0.35), under)
    cuff = complex(wide - between(rng, 1, 5) - bend, length)
    pen.curve(under + complex(2, length * 0.3), cuff + complex(bend, -length * 0.35), cuff)
    if chance(rng, 0.25):  # a vent
        pen.steps[-1] = (*pen.steps[-1][:2], cuff - 9j)
        pen.line(cuff + complex(2.5, -9), cuff + 2.5)
    pen.line(complex(cuff.real - wrist, length - between(rng, 0, 2)))
    return pen.curve(pen.at + complex(bend, -length * 0.3), complex(bend, length * 0.3), complex(0))


def under_sleeve(rng: Rng) -> Pen:
    wide, length, rise = between(rng, 11, 18), between(rng, 38, 52), between(rng, 4, 11)
    bend, wrist = between(rng, 0, 3), between(rng, 7, 12)
    tip = complex(wide, -rise)
    pen = Pen(0).curve(complex(wide * 0.25, 3), complex(wide * 0.75, 2), tip)
    cuff = complex(wide - between(rng, 0, 4) - bend, length)
    pen.curve(tip + complex(2, length * 0.35), cuff + complex(bend, -length * 0.35), cuff)
    pen.line(complex(cuff.real - wrist, length - between(rng, 0, 2)))
    return pen.curve(pen.at + complex(bend, -length * 0.3), complex(bend, length * 0.3), complex(0))


def cuff(rng: Rng) -> Pen:
    """A shirt's barrel or double cuff, a coat's turn-up, a ribbing."""
    high = between(rng, 5, 14)
    wide = high * between(rng, 2.4, 4.6)
    corners = str(rng.choice(["ssrr", "sscc", "rsss", "ssss", "ssrs", "ccss", "rrss"]))
    pen = box(rng, wide, high, corners, high * between(rng, 0.12, 0.45))
    if chance(rng, 0.35):
        pen.mark("fold", 0.5j * high, complex(wide, 0.5 * high))
    if chance(rng, 0.3):
        pen.mark("cut", complex(1.2, high * 0.7), complex(3.2, high * 0.7))
    return pen


def shaped_cuff(rng: Rng) -> Pen:
    high, angle = between(rng, 5, 11), between(rng, 0.25, 1.1)
    return ring(high * between(rng, 2.2, 4) / angle, high, angle)
