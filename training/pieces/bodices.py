"""Fronts and backs."""

from training.pieces.pen import Pen, Rng, between, chance, halved


def neckline(rng: Rng, pen: Pen, end: complex, shape: str) -> Pen:
    """From the centre to the side of the neck."""
    corner = complex(end.real, pen.at.imag)
    if shape == "square":
        return pen.line(complex(end.real * between(rng, 0.8, 1), pen.at.imag), end)
    if shape == "vee":
        return pen.bow(end, between(rng, -0.03, 0.1))
    return pen.turn(end, corner, between(rng, 0.45, 0.85))


def armhole(rng: Rng, pen: Pen, end: complex, hollow: float) -> Pen:
    """From the tip of the shoulder down to the underarm."""
    tip, fall = pen.at, end.imag - pen.at.imag
    if tip.real > end.real - 2:  # a dropped shoulder
        return pen.bow(end, between(rng, 0.0, 0.08))
    low = complex(tip.real - hollow, tip.imag + fall * between(rng, 0.45, 0.65))
    pen.curve(tip + complex(-hollow * 0.5, fall * 0.2), low - 1j * fall * 0.2, low)
    return pen.curve(low + 1j * fall * 0.28, complex(end.real - (end.real - low.real) * 0.7, end.imag), end)


def side(rng: Rng, pen: Pen, end: complex) -> Pen:
    """From the underarm to the hem: straight, taken in at the waist, or flared in a curve."""
    start, way = pen.at, end - pen.at
    kind = rng.choice(["straight", "waist", "bow"])
    if kind == "straight" or way.imag < 8:
        return pen.line(end)
    if kind == "bow":
        return pen.bow(end, between(rng, -0.02, 0.08))
    waist = start + way * between(rng, 0.4, 0.65) - between(rng, 0.5, 3.5)
    pen.curve(start + way * 0.15, waist - way * 0.15, waist)
    return pen.curve(waist + way * 0.15, end - way * 0.2, end)


def hem(rng: Rng, pen: Pen, end: complex) -> Pen:
    """From the side to the centre: straight, with a waist dart, or a curve."""
    kind = rng.choice(["line", "dart", "bow", "tail"], p=[0.45, 0.25, 0.2, 0.1])
    if kind == "dart":
        return pen.dart(rng, end, between(rng, 0.35, 0.65), between(rng, 1.5, 5), between(rng, 8, 16))
    if kind == "bow":
        return pen.bow(end, between(rng, -0.06, 0.02))
    if kind == "tail":
        end += 1j * between(rng, 3, 8)
        return pen.curve(pen.at - 7, end + 9, end)
    return pen.line(end)


def body(rng: Rng, depth: float, hollow: float, shape: str) -> Pen:
    """Half a front or back, its centre on x = 0 and the side of the neck at y = 0."""
    chest = between(rng, 17, 31)
    neck = complex(chest * between(rng, 0.26, 0.4))
    tip = complex(chest * between(rng, 0.74, 0.92), between(rng, 2.5, 6))
    style = rng.choice(["set-in", "dropped", "sleeveless", "raglan"], p=[0.56, 0.12, 0.17, 0.15])
    if style == "dropped":
        tip = complex(chest * between(rng, 0.97, 1.12), between(rng, 4, 7))
    if style == "sleeveless":
        neck = complex(chest * between(rng, 0.36, 0.5))
        tip = neck + complex(between(rng, 3, 8), between(rng, 0.5, 2))
    arm = complex(chest, tip.imag + between(rng, 15, 22) * chest / 24)
    length = arm.imag + float(
        rng.choice([between(rng, 14, 24), between(rng, 25, 48), between(rng, 48, 85)], p=[0.3, 0.52, 0.18])
    )
    foot = complex(
        chest + float(rng.choice([0, between(rng, -4, 2), between(rng, 1, 9)])), length - between(rng, 0, 1.5)
    )
    pen = neckline(rng, Pen(1j * depth), neck, shape)
    if style == "raglan":
        pen.steps = Pen(1j * depth).turn(neck + 1j * depth * 0.3, complex(neck.real, depth), 0.6).steps
        hollow *= between(rng, 0, 1.5)
        pen.curve(pen.at + (arm - pen.at) * 0.35, arm - complex(5 + hollow, 7 - hollow), arm)
    elif chance(rng, 0.12) and abs(tip - neck) > 9:
        pen.dart(rng, tip, between(rng, 0.35, 0.6), between(rng, 1, 3), between(rng, 6, 14))
        armhole(rng, pen, arm, hollow)
    else:
        armhole(rng, pen.line(tip), arm, hollow)
    return hem(rng, bust(rng, pen, arm, foot, hollow), 1j * length)


def bust(rng: Rng, pen: Pen, arm: complex, foot: complex, hollow: float) -> Pen:
    """The side seam; a front's (its armhole is the deeper) now and then with a bust dart."""
    if hollow < 2 or chance(rng, 0.7):
        return side(rng, pen, foot)
    where, room = between(rng, 0.12, 0.5), abs(foot - arm) * 0.2
    return pen.dart(rng, foot, where, min(between(rng, 2, 9), room), between(rng, 7, 15))


def back(rng: Rng) -> Pen:
    depth = between(rng, 1, 4) if chance(rng, 0.85) else between(rng, 4, 8)
    pen = body(rng, depth, between(rng, 0.2, 1.6), "round")
    if chance(rng, 0.1):  # a vent, or the placket of a back opening
        wide, top = between(rng, 3, 6), pen.at.imag * between(rng, 0.35, 0.75)
        return pen.line(pen.at - wide, complex(-wide, top), 1j * top)
    if chance(rng, 0.12):  # a shaped seam in the middle
        return pen.line(pen.at + between(rng, 0, 2)).bow(1j * depth, between(rng, 0.005, 0.03))
    return halved(rng, pen, 0.65)


def yoked_back(rng: Rng) -> Pen:
    """A shirt back below its yoke."""
    chest, length = between(rng, 20, 32), between(rng, 45, 75)
    arm = complex(chest, between(rng, 9, 16))
    pen = Pen(0).bow(complex(chest * between(rng, 0.75, 0.9), between(rng, -0.5, 1.5)), 0.005)
    pen.curve(pen.at + complex(-1, arm.imag * 0.5), arm - complex(4, 0.5), arm)
    side(rng, pen, complex(chest + between(rng, -2, 4), length - between(rng, 0, 6)))
    return halved(rng, pen.line(1j * length) if chance(rng, 0.5) else hem(rng, pen, 1j * length), 0.6)


def dolman(rng: Rng, depth: float) -> Pen:
    """Half a front or back with the sleeve cut on."""
    chest, neck, drop = between(rng, 20, 32), complex(between(rng, 7, 12)), between(rng, 5, 22)
    wrist = complex(chest + between(rng, 8, 45), drop)
    across = 1j * (wrist - neck) / abs(wrist - neck) * between(rng, 9, 17)
    arm = complex(chest, drop + between(rng, 16, 24))
    pen = neckline(rng, Pen(1j * depth), neck, "round").bow(wrist, between(rng, -0.04, 0.01)).line(wrist + across)
    low = arm + 1j * between(rng, 4, 12)
    if pen.at.real > arm.real + 3:
        pen.line(pen.at + (arm - pen.at) * between(rng, 0.1, 0.5)).turn(low, arm, between(rng, 0.3, 0.8))
    else:
        pen.line(low)
    length = low.imag + between(rng, 6, 40)
    return halved(rng, pen.line(complex(chest + between(rng, -3, 4), length), 1j * length), 0.6)


def dolman_front(rng: Rng) -> Pen:
    return dolman(rng, between(rng, 6.5, 16))


def dolman_back(rng: Rng) -> Pen:
    return dolman(rng, between(rng, 1, 3.5))


def front(rng: Rng) -> Pen:
    shape = str(rng.choice(["round", "vee", "square"], p=[0.72, 0.2, 0.08]))
    depth = between(rng, 6.5, 12) if shape == "round" and chance(rng, 0.75) else between(rng, 10, 24)
    pen = body(rng, depth, between(rng, 2, 4), shape)
    if chance(rng, 0.3):
        return buttoned(rng, pen)
    return halved(rng, pen, 0.7)


def buttoned(rng: Rng, pen: Pen) -> Pen:
    """A front with a stand for buttons beyond its centre line."""
    stand, top, low = between(rng, 1.5, 8), pen.steps[0][0], pen.at
    pen.line(low - stand)
    pen.steps[0] = (top - stand,)
    pen.steps.insert(1, (top,))
    if chance(rng, 0.6):
        pen.mark(str(rng.choice(["fold", "cut"])), top, low)
    return pen


def jacket_front(rng: Rng) -> Pen:
    """A front with a lapel."""
    chest, length = between(rng, 20, 32), between(rng, 55, 100)
    neck, tip = complex(chest * 0.35), complex(chest * between(rng, 0.78, 0.9), between(rng, 3, 5.5))
    arm = complex(chest * between(rng, 0.95, 1.1), between(rng, 20, 27))
    stand, lapel, gorge = between(rng, 1.5, 8), between(rng, 3, 9), between(rng, 5, 10)
    pen = armhole(rng, Pen(neck).line(tip), arm, between(rng, 2, 4))
    side(rng, pen, complex(arm.real + between(rng, -1, 4), length))
    edge, point = -stand + 1j * length, complex(-stand - lapel, gorge)
    if chance(rng, 0.5):
        cut = between(rng, 3, 12)
        pen.line(edge + cut).turn(edge - 1j * cut, edge)
    else:
        pen.line(edge)
    pen.line(-stand + 1j * between(rng, 30, 45)).bow(point, between(rng, -0.08, 0.02))
    return pen.line(complex(neck.real - between(rng, 3, 5), gorge + between(rng, -3, 1)))


def wrap_front(rng: Rng) -> Pen:
    chest, length = between(rng, 20, 30), between(rng, 38, 60)
    neck, tip = complex(chest * 0.36), complex(chest * between(rng, 0.75, 0.9), between(rng, 3, 5.5))
    arm, over = complex(chest, between(rng, 19, 26)), -chest * between(rng, 0.3, 0.95)
    pen = armhole(rng, Pen(neck).line(tip), arm, between(rng, 2, 4))
    hem(rng, bust(rng, pen, arm, complex(chest, length), 3), 1j * length)
    pen.line(complex(over, pen.at.imag), complex(over, pen.at.imag - between(rng, 1, 8)))
    return pen.bow(neck, between(rng, -0.02, 0.08))


def princess(rng: Rng, depth: float) -> Pen:
    """The middle panel of a front or back, its seam from the shoulder or the armhole over the bust to the hem."""
    chest, length = between(rng, 20, 30), between(rng, 38, 90)
    neck, bust_line = complex(chest * between(rng, 0.3, 0.4)), between(rng, 24, 29)
    pen = neckline(rng, Pen(1j * depth), neck, "round")
    if chance(rng, 0.5):
        pen.line(complex(chest * between(rng, 0.5, 0.62), between(rng, 1.5, 3)))
    else:
        pen.line(complex(chest * between(rng, 0.78, 0.9), between(rng, 3, 5)))
        pen.bow(complex(chest * between(rng, 0.7, 0.8), between(rng, 12, 16)), 0.06)
    fullest = complex(chest * between(rng, 0.4, 0.52), bust_line)
    waist = complex(fullest.real - between(rng, 0.5, 3.5), bust_line + between(rng, 14, 18))
    pen.curve(pen.at + 7j, fullest - 6j, fullest).curve(fullest + 6j, waist - 5j, waist)
    if length > waist.imag + 8:
        foot = complex(fullest.real + between(rng, 0, 8), length)
        pen.curve(waist + 5j, foot - (foot - waist) * 0.3, foot)
    return halved(rng, pen.line(1j * pen.at.imag), 0.75)


def princess_front(rng: Rng) -> Pen:
    return princess(rng, between(rng, 7, 18))


def princess_back(rng: Rng) -> Pen:
    return princess(rng, between(rng, 1, 3.5))
