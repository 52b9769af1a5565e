"""Collars, and what else lies at the neck: yokes, hoods."""

import cmath

from training.pieces.bodices import neckline
from training.pieces.pen import Pen, Rng, between, chance, halved


def shirt_collar(rng: Rng) -> Pen:
    """Half from the centre back: the outer edge, the point, the neck edge; jackets' and coats' alike."""
    long, high = between(rng, 17, 24), between(rng, 4, 9)
    rise, flare = between(rng, -1, 6), between(rng, -1.5, 4)
    point = complex(long + flare, between(rng, -1.5, 1) + rise)
    pen = Pen(0).curve(complex(long * 0.4), point - complex(long * 0.4, point.imag * between(rng, 0.6, 0.9)), point)
    low = complex(long, high + rise + between(rng, -1, 0.5))
    if chance(rng, 0.4):  # the step of a notched collar
        pen.line(low + complex(between(rng, 0.5, 2), -high * between(rng, 0.3, 0.6)))
    pen.line(low).curve(low - complex(long * 0.4, rise * 0.8), complex(long * 0.4, high), 1j * high)
    if chance(rng, 0.2):  # where it folds over
        pen.mark("fold", 0.6j * high, complex(long, high * 0.6 + rise))
    return halved(rng, pen, 0.4)


def stand(rng: Rng) -> Pen:
    """The band that a shirt's collar stands on, or a mandarin collar; it rises towards the front."""
    long, high, rise = between(rng, 18, 26), between(rng, 2.4, 5), between(rng, 0.8, 5)
    low = complex(long, high - rise)
    end = low + complex(-between(rng, 0, 0.6), -high * between(rng, 0.75, 0.95))
    pen = Pen(0).curve(complex(long * 0.45, 0), end + complex(-long * 0.4, rise * 0.35), end)
    corner = end + 0.9 * (low - end) + between(rng, 0.5, 2)
    pen.turn(low, end + 2, 0.7) if chance(rng, 0.6) else pen.line(corner, low)
    return halved(rng, pen.curve(low + complex(-long * 0.4, rise * 0.5), complex(long * 0.45, high), 1j * high), 0.35)


def flat_collar(rng: Rng) -> Pen:
    """Peter Pan's and its kin: lies around the neck as part of a ring."""
    inner, high, angle = between(rng, 6, 12), between(rng, 4, 9), between(rng, 0.9, 2.7)
    end = -1j * cmath.exp(1j * angle)
    pen = Pen(-1j * (inner + high))
    if chance(rng, 0.6):
        pen.arc(0, angle * 0.85).turn(end * inner, end * (inner + high), between(rng, 0.5, 0.8))
    else:
        pen.arc(0, angle).line(end * (inner + high * between(rng, 1, 1.3)), end * inner)
    return halved(rng, pen.arc(0, -angle), 0.5)


def shawl_collar(rng: Rng) -> Pen:
    """A long collar that runs out into the front edge."""
    high, long, fall = between(rng, 6, 11), between(rng, 35, 60), between(rng, 4, 22)
    tip = complex(long, fall)
    pen = Pen(0).curve(complex(long * 0.4, -between(rng, 0, 3)), tip - complex(long * 0.3, fall * 0.9), tip)
    pen.curve(tip - complex(long * 0.4, fall * 0.15), complex(long * 0.3, high), 1j * high)
    return halved(rng, pen, 0.75)


def sailor_collar(rng: Rng) -> Pen:
    wide, drop, neck = between(rng, 15, 21), between(rng, 14, 22), between(rng, 6, 9)
    front = complex(between(rng, 1, 5), -between(rng, 16, 26))
    pen = Pen(0).turn(complex(neck, -3), neck, 0.6).bow(front, between(rng, 0, 0.05))
    return halved(rng, pen.bow(complex(wide, -2), -0.08).line(complex(wide, drop), 1j * drop), 0.5)


def yoke(rng: Rng) -> Pen:
    """The shoulder piece of a shirt's or coat's back."""
    neck, tip = complex(between(rng, 6.5, 9)), complex(between(rng, 18, 25), between(rng, 1.5, 5.5))
    high = tip.imag + between(rng, 3, 9)
    pen = neckline(rng, Pen(1j * between(rng, 0.8, 3)), neck, "round").line(tip)
    pen.bow(complex(tip.real - between(rng, -1, 1.5), high), between(rng, 0, 0.05))
    end = 1j * (high + (between(rng, 2, 6) if chance(rng, 0.15) else 0))
    return halved(rng, pen.line(end), 0.3)


def hood(rng: Rng) -> Pen:
    """One side of a hood: the face on the left, the neck below."""
    wide, high = between(rng, 22, 30), between(rng, 30, 40)
    nape, low = complex(wide * between(rng, 0.72, 0.92), high * between(rng, 0.88, 0.97)), between(rng, -2, 4)
    swell = complex(wide, high * between(rng, 0.35, 0.5))
    top = 1j * between(rng, 0, 4)
    pen = Pen(top).curve(complex(wide * 0.5, -3), swell - 1j * high * 0.28, swell)
    pen.curve(swell + 1j * high * 0.22, nape - complex(-1, high * 0.15), nape)
    pen.curve(nape + complex(-wide * 0.3, between(rng, 1, 4)), complex(wide * 0.3, high + low - 3), 1j * (high + low))
    if chance(rng, 0.3):
        pen.line(pen.at - complex(between(rng, 1, 3), 0.5))
    return pen.bow(top, between(rng, -0.04, 0.06)) if chance(rng, 0.5) else pen
