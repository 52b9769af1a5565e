"""Mutated pictures of every format, thousands of them, through a real process: never a 5xx, never more memory."""

import random

import pytest

FORMATS = ["JPEG", "PNG", "WEBP", "GIF", "BMP"]
INTERESTING = [b"\0", b"\xff", b"\x7f", b"\x80", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\x80\0\0\0"]


def mutated(data, pick):
    """One to eight changes: bits, bytes, numbers as decoders fear them, pieces cut out, doubled, moved or cut off."""
    changed = bytearray(data)
    for _ in range(pick.randint(1, 8)):
        # Headers are where it hurts: half of all changes are in the first 64 bytes.
        at = pick.randrange(min(64, len(changed))) if pick.random() < 0.5 else pick.randrange(len(changed))
        length = pick.choice([1, 2, 4, 16, 200])
        kind = pick.randrange(7)
        if kind == 0:
            changed[at] ^= 1 << pick.randrange(8)
        elif kind == 1:
            changed[at] = pick.randrange(256)
        elif kind == 2:
            new = pick.choice(INTERESTING)
            changed[at : at + len(new)] = new
        elif kind == 3 and len(changed) > length + 1:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = changed[at : at + length]
        elif kind == 5:
            changed[at:at] = pick.randbytes(length)
        elif len(changed) > 20:
            del changed[pick.randrange(10, len(changed)) :]
    return bytes(changed)


def originals(photo):
    saves = [
        *({"form": form} for form in FORMATS),
        {"form": "JPEG", "progressive": True},
        {"form": "WEBP", "lossless": True},
        {"form": "PNG", "dpi": (72, 72)},
        {"form": "JPEG", "exif": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"},
    ]
    return [photo(**save) for save in saves] + [photo(640, 480, **save) for save in saves]


def statuses(url, photo, connect, read, request_of, count, seed):
    """How often each status came for `count` mutated pictures."""
    pick, sources, found = random.Random(seed), originals(photo), {}
    with connect(url) as sock:
        for at in range(count):
            data = mutated(sources[at % len(sources)], pick)
            sock.sendall(request_of(data))
            answer = read(sock)
            assert answer.status in (200, 413, 415, 422), (seed, at, answer)
            assert b"Traceback" not in answer.body
            found[answer.status] = found.get(answer.status, 0) + 1
    return found


def test_300_mutated_pictures_are_answered_or_refused(target, photo, connect, read, request_of, worker, memory):
    pid = worker(target)
    print("\n", statuses(target.url, photo, connect, read, request_of, 300, seed=3))
    assert worker(target) == pid
    assert "unexpected error" not in target.log.read_text()


@pytest.mark.soak
def test_10_000_mutated_pictures_leave_nothing_behind(target, photo, connect, read, request_of, worker, memory):
    pid = worker(target)
    statuses(target.url, photo, connect, read, request_of, 1000, seed=1)
    before = memory(pid, "VmRSS")
    print("\n", statuses(target.url, photo, connect, read, request_of, 10_000, seed=random.randrange(10**6)))
    after = memory(pid, "VmRSS")
    print(f"worker: {before:.0f} MB, then {after:.0f} MB")
    assert worker(target) == pid
    assert after - before < 30
