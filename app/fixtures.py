"""What the app's Swift tests replay: `python -m app.fixtures` writes app/Tests/fixtures anew, each file from one of Imago's own schemas.

A file holds the grammar as an export has it, documents that grew at random with what was allowed at every token, and the document that a made-up
network gets decoded. All of it comes from bundle/xml, so the Swift is held to the Python.
"""

import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image

from bundle.image import Preprocess, preprocess
from bundle.xml import codec, decode
from bundle.xml.automaton import Walk
from bundle.xml.codec import Codec
from converter import xml_grammar

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "app" / "Tests" / "fixtures"
SHEETS = next((ROOT / "server" / "bundles").glob("sheets-????????"))
SCHEMAS = [*sorted((ROOT / "training" / "schemas").glob("*.rng")), FOLDER / "odd.rng"]
# Of the documents' tokens: hardly any, some, and as many as one cares to read.
MOST = (1, 5, 12, 12, 12, 40, 40)
# Tokens that the made-up network may say, at most.
LENGTH = 60


def main(folder: Path, schemas: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for path in schemas:
        rules = {**_about(path.stem), **xml_grammar.compiled(codec.load(path))}
        _write(folder / f"{path.stem}.json", rules, codec.load(path))
    if schemas == SCHEMAS:
        _write(folder / "sheets.json", xml_grammar.of_bundle(SHEETS), codec.load(SHEETS / "schema.rng"))
        (folder / "padded.json").write_text(",\n".join(map(json.dumps, _padded())).join(("[\n", "]\n")))


def _about(name: str) -> dict[str, Any]:
    sure = {"score": 0.5, "least": 0.1, "iou": None}
    return {
        "format": xml_grammar.FORMAT,
        "name": name,
        "id": "0" * 64,
        "most_tokens": LENGTH,
        "sure": sure,
        "resize": "pad",
    }


def _write(path: Path, rules: dict[str, Any], language: Codec) -> None:
    walks = ",\n".join(json.dumps(_walk(language, most, Random(seed))) for seed, most in enumerate(MOST))
    decoded = json.dumps(_decoded(language, rules["most_tokens"], time.monotonic() + 3600))
    hurried = json.dumps(_decoded(language, rules["most_tokens"], time.monotonic()))
    grammar = xml_grammar.dumped(rules).decode().rstrip()
    path.write_text(f'{{"grammar":{grammar},\n"walks":[\n{walks}],\n"decoded":{decoded},\n"hurried":{hurried}}}\n')


def _walk(language: Codec, most: int, rng: Random) -> dict[str, Any]:
    """A document that grew at random, with what was allowed at each of its tokens."""
    walk = Walk(language.automaton, most)
    tokens, masks = [], []
    while not walk.done:
        allowed = [int(at) for at in np.flatnonzero(walk.mask())]
        masks.append(" ".join(_runs(allowed)))
        tokens.append(rng.choice(allowed))
        walk.push(tokens[-1])
    return {"most": most, "tokens": tokens, "masks": masks, "xml": language.write(walk.events).decode()}


def _runs(numbers: list[int]) -> Iterator[str]:
    """3-7 for numbers in a row."""
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] != numbers[at - 1] + 1:
            yield f"{numbers[start]}-{numbers[at - 1]}"
            start = at


def _decoded(language: Codec, most: int, until: float) -> dict[str, Any]:
    """What a network whose logits hang on the last token and the place alone gets decoded."""
    count = len(language.automaton.tokens)

    def encode(pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((1, 1, 1, 1, 1), np.float32), np.zeros((1, 1, 1, 1, 1), np.float32)

    def step(token: np.ndarray, keys: np.ndarray, values: np.ndarray, *_: np.ndarray) -> tuple[np.ndarray, ...]:
        place = keys.shape[3]
        logits = (np.arange(count) * 7919 + int(token[0]) * 31 + place * 17) % 1009 / 100
        longer = np.zeros((1, 1, 1, place + 1, 1), np.float32)
        return logits.astype(np.float32)[None], longer, longer

    decoder = decode.Decoder(encode, step, language, most)  # type: ignore[arg-type]  # three of them, as it wants
    answer = asdict(decoder.decode(np.zeros((1, 1, 3), np.uint8), until=until))
    return {
        "tokens": language.tokens(answer["events"]),
        "xml": answer["xml"].decode(),
        "score": round(answer["score"], 6),
        "least": round(answer["least"], 6),
        "cut": answer["cut"],
    }


def _padded() -> Iterator[dict[str, Any]]:
    """Where black pictures lie on their white sheets."""
    for width, height in ((640, 480), (480, 640), (100, 100), (3, 1000), (1001, 667)):
        spec = Preprocess(height=96, width=128, resize="pad", resample="bilinear", color="rgb")
        dark = preprocess(Image.new("RGB", (width, height)), spec)[..., 0] < 255
        (ys, xs) = np.nonzero(dark)
        x, y = int(xs.min()), int(ys.min())
        box = [x, y, int(xs.max()) + 1 - x, int(ys.max()) + 1 - y]
        yield {"picture": [width, height], "target": [128, 96], "box": box}


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER, [Path(word) for word in sys.argv[2:]] or SCHEMAS)
