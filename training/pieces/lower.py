"""What is worn below the waist, and its band."""

import cmath
import math

from training.pieces.pen import Pen, Rng, between, box, chance, halved, ring


def skirt(rng: Rng) -> Pen:
    """Half a straight, pencil or A-line skirt, its centre on x = 0."""
    hip, length = between(rng, 21, 31), between(rng, 32, 95)
    rise, waist = between(rng, 0, 2), hip * between(rng, 0.68, 0.95)
    level = complex(hip, between(rng, 16, 22))
    foot = complex(hip + float(rng.choice([0, between(rng, -4, 0), between(rng, 2, 22)])), length)
    pen, end = Pen(1j * rise), complex(waist)
    if chance(rng, 0.6):
        pen.dart(rng, end, between(rng, 0.4, 0.65), between(rng, 1.5, 3.5), between(rng, 8, 14))
    else:
        pen.bow(end, between(rng, 0, 0.04))
    pen.curve(end + complex(hip - waist, level.imag * 0.4), level - (foot - level) * 0.15, level).line(foot)
    low = 1j * (length + between(rng, 0, 2))
    pen.bow(low, -0.03) if foot.real > hip + 3 else pen.line(low)
    if chance(rng, 0.12):
        wide, top = between(rng, 3, 6), low * between(rng, 0.6, 0.8)
        return pen.line(low - wide, top - wide, top)
    return halved(rng, pen, 0.6)


def circle_skirt(rng: Rng) -> Pen:
    """A quarter, a half or another part of a circle around the waist."""
    angle = float(rng.choice([math.pi / 2, math.pi, between(rng, 0.5, 2.2)], p=[0.5, 0.2, 0.3]))
    inner = between(rng, 62, 100) / (2 * angle if chance(rng, 0.6) else 4 * angle)
    pen = ring(inner, between(rng, 24, 90), angle)
    tilt = cmath.exp(0.5j * angle)
    return pen.moved(lambda point: -point * tilt) if chance(rng, 0.7) else pen.moved(lambda point: -point)


def gore(rng: Rng) -> Pen:
    """One of four to eight panels, from hip to a flared hem; or a tier, gathered or not."""
    waist, length = between(rng, 4, 10), between(rng, 45, 95)
    hip, foot = waist + between(rng, 1.5, 5), between(rng, 9, 28)
    pen = Pen(1j * between(rng, 0, 0.8)).line(waist).bow(complex(hip, 20), -0.02)
    return pen.line(complex(max(foot, hip), length)).bow(1j * (length + between(rng, 0.5, 2.5)), -0.03).whole()


def waistband(rng: Rng) -> Pen:
    """A straight strip, often with a fold along its middle and marks across it; its end may be a point."""
    high = between(rng, 3, 10)
    long = high * between(rng, 6.5, 20)
    if chance(rng, 0.25):
        pen = Pen(0).line(long, complex(long + high * between(rng, 0.3, 0.7), high / 2), complex(long, high), 1j * high)
    else:
        corners = str(rng.choice(["ssss", "ssss", "srrs", "ssrs", "sccs"]))
        pen = box(rng, long, high, corners, high * between(rng, 0.2, 0.45))
    if chance(rng, 0.5):
        pen.mark("fold", 0.5j * high, complex(long, high / 2))
    for where in (0.06, 0.28, 0.5, 0.72) if chance(rng, 0.4) else ():
        pen.mark("cut", complex(long * where), complex(long * where, high))
    return pen


def contour_waistband(rng: Rng) -> Pen:
    """Cut in a curve, to sit below the waist."""
    high, angle = between(rng, 3, 8), between(rng, 0.15, 0.9)
    return ring(high * between(rng, 5.5, 13) / angle, high, angle)


def leg(rng: Rng, fork: float, lean: float, rise: float) -> Pen:
    """A trouser leg, the side seam on the right: fork is how far the crotch runs out, lean how the centre slants."""
    hip = between(rng, 22, 33)
    crotch = hip * between(rng, 0.9, 1.2)
    length = crotch + (between(rng, 55, 85) if chance(rng, 0.72) else between(rng, 6, 40))
    fork, lean, middle = fork * hip, lean * hip, hip * (1 - fork * 0.8) / 2
    wide = hip * float(rng.choice([between(rng, 0.28, 0.5), between(rng, 0.5, 0.75), between(rng, 0.7, 1.1)])) / 2 + 2
    if length < crotch + 25:
        wide = hip * between(rng, 0.5, 0.65)
    top, waist = complex(lean, -rise), complex(hip * between(rng, 0.88, 1.0))
    pen = Pen(top)
    if chance(rng, 0.3 if rise > 1 else 0.1):
        pen.dart(rng, waist, between(rng, 0.4, 0.6), between(rng, 1.5, 3), between(rng, 6, 12))
    elif chance(rng, 0.25):  # cut away for a front pocket
        pen.line(waist - hip * between(rng, 0.15, 0.35)).bow(
            waist + complex(1, between(rng, 10, 18)), between(rng, 0, 0.1)
        )
    else:
        pen.line(waist)
    foot, ankle, point = complex(middle + wide, length), complex(middle - wide, length), complex(-fork, crotch)
    pen.curve(
        pen.at + complex((hip - pen.at.real) * 1.6, crotch * 0.4),
        foot - 1j * (length - crotch) * between(rng, 0.4, 0.9),
        foot,
    )
    pen.line(ankle).curve(
        ankle - 1j * (length - crotch) * between(rng, 0.3, 0.7),
        point + complex(fork * 0.3, (length - crotch) * 0.2),
        point,
    )
    seam = complex(lean * 0.15, crotch * between(rng, 0.45, 0.65))
    return pen.curve(complex(-fork * 0.35, crotch), seam + complex(-lean * 0.2, (crotch - seam.imag) * 0.6), seam)


def trouser_front(rng: Rng) -> Pen:
    pen = leg(rng, between(rng, 0.14, 0.27), between(rng, 0, 0.06), between(rng, -1.5, 0.5))
    if chance(rng, 0.2):  # the fly is cut on
        wide, seam, top = between(rng, 3, 4.5), pen.at, pen.steps[0][0]
        pen.line(seam - 1).bow(top - wide + 5j, -0.1).line(top - wide)
    return pen


def trouser_back(rng: Rng) -> Pen:
    return leg(rng, between(rng, 0.33, 0.55), between(rng, 0.1, 0.28), between(rng, 1, 5))


def leggings(rng: Rng) -> Pen:
    """Front and back leg in one, without a side seam."""
    hip, crotch = between(rng, 22, 32), between(rng, 23, 32)
    length = crotch + between(rng, 8, 78)
    fork, foot = hip * between(rng, 1.12, 1.35), complex(hip * between(rng, 0.4, 0.9), length)
    point = complex(fork, crotch)
    pen = Pen(0).line(complex(hip * between(rng, 0.8, 1), -between(rng, 0, 2)))
    pen.curve(complex(hip, crotch * 0.6), point - complex(fork - hip, 0), point)
    return pen.curve(point + complex(-2, 8), foot - 1j * (length - crotch) * 0.5, foot).line(1j * length).whole()
