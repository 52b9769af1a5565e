"""Puts an exported model into the app: `python app/model.py FOLDER`, what `imago export BUNDLE --to coreml` wrote. Needs nothing but Python."""

import json
import shutil
import sys
import tempfile
from pathlib import Path

MODEL = Path(__file__).parent / "Imago" / "Model"


def place(export: Path, model: Path = MODEL) -> list[str]:
    """Whatever model was there makes room, once all of the new one is copied. The names of what is there now.
    Raises ValueError with a sentence for what is no whole export, OSError for what cannot be copied."""
    packages = sorted(export.glob("*.mlpackage"))
    if not packages:
        raise ValueError(f"{export}: no .mlpackage there; write one with: imago export BUNDLE --to coreml --out DIR")
    grammar = _grammar(export, packages)
    model.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".new-", dir=model.parent) as folder:
        new = Path(folder)
        for package in packages:
            shutil.copytree(package, new / package.name)
        for name, data in grammar.items():
            (new / name).write_bytes(data)
        for old in _placed(model):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        for path in new.iterdir():
            path.rename(model / path.name)
    return [path.name for path in _placed(model)]


def _placed(model: Path) -> list[Path]:
    """All but .gitkeep."""
    return sorted(path for path in model.iterdir() if path.name != ".gitkeep")


def _grammar(export: Path, packages: list[Path]) -> dict[str, bytes]:
    """Of a model that makes XML, under the name that the app looks for beside its two parts; of a classifier none."""
    if not any(package.stem.endswith(("-encoder", "-step")) for package in packages):
        return {}
    path = export / "grammar.json"
    try:
        data = path.read_bytes()
        said = json.loads(data)
        title = f"{said['name']}-{said['id'][:8]}"
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(f"{path}: missing or damaged; export the bundle again") from None
    if missing := {f"{title}-encoder", f"{title}-step"} - {package.stem for package in packages}:
        raise ValueError(f"{export}: {min(missing)}.mlpackage is missing; export the bundle again")
    return {f"{title}-grammar.json": data}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python app/model.py FOLDER")
    try:
        print("app/Imago/Model has:", *place(Path(sys.argv[1])))
    except ValueError as error:
        sys.exit(f"{error}")
    except OSError as error:
        sys.exit(f"{sys.argv[1]}: cannot be copied, the model that was there stays: {error}")
