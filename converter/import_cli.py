"""`imago import`: options into a Request, a Request into a bundle."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import click

a_path = click.Path(path_type=Path)


class Size(click.ParamType[tuple[int, int]]):
    """224, or 240x320: height and width."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, int]:
        match = re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", str(value))
        if not match or int(match[1]) > 4096 or int(match[2] or 1) > 4096:
            self.fail(f"{value!r}: a side such as 224, or HEIGHTxWIDTH, of 1 to 4096 wanted", param, ctx)
        return int(match[1]), int(match[2] or match[1])


@click.command("import")
@click.option("--keras-json", type=a_path, metavar="FILE", help="model.json, as to_json() wrote it; with --weights.")
@click.option("--keras", type=a_path, metavar="FILE", help="A .keras file, or a whole model in .h5.")
@click.option("--graphdef", type=a_path, metavar="FILE", help="A frozen TensorFlow graph, such as output_graph.pb.")
@click.option("--onnx", type=a_path, metavar="FILE", help="An ONNX file.")
@click.option("--weights", type=a_path, metavar="FILE", help="The weights (.h5) of --keras-json.")
@click.option(
    "--labels",
    type=a_path,
    metavar="FILE",
    help="Labels in output order: one a line, .pbtxt or JSON.  [default: a list in the same folder]",
)
@click.option(
    "--background", is_flag=True, help="The first output is that of no label, as in TensorFlow's ImageNet models."
)
@click.option("--name", help="The bundle's name.  [default: the file's]")
@click.option("--out", type=a_path, default=Path("bundles"), show_default=True, help="The folder the bundle goes into.")
@click.option("--golden", type=a_path, metavar="DIR", help="Pictures of the golden check.  [default: some are drawn]")
@click.option(
    "--pixels",
    metavar="RANGE",
    help="What the network was trained on: 0..255, 0..1, -1..1, caffe, torch or MEAN/STD of 0..255, such as 128/128.  "
    "[default: what its first nodes say, where there is no doubt]",
)
@click.option(
    "--resize",
    type=click.Choice(["squash", "crop", "pad"]),
    help="How a picture gets the network's shape.  [default: squash]",
)
@click.option("--size", type=Size(), metavar="N|HxW", help="Of the input, where the file leaves it open.")
@click.option(
    "--scores",
    type=click.Choice(["softmax", "sigmoid"]),
    help="One label a picture, or several.  [default: as the network ends]",
)
@click.option("--logits", is_flag=True, help="The network ends before its softmax or sigmoid: it is added.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1),
    help="Of sigmoid scores: from where on a label is present.  [default: 0.5]",
)
@click.option("--input", metavar="NAME", help="Where the pixels go in, of --graphdef and --onnx.")
@click.option("--output", metavar="NAME", help="Where the scores come out, of --graphdef and --onnx.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def import_(as_json: bool, **options: Any) -> None:
    """Makes a bundle of a classifier that another tool trained: Keras 2 or 3, a frozen TensorFlow graph, or ONNX.

    Nothing in the files is run as code: Lambda layers, layers of one's own and unknown operations are refused by name.
    """
    forms = {name: options.pop(name.replace("-", "_")) for name in ("keras-json", "keras", "graphdef", "onnx")}
    given = {form: path for form, path in forms.items() if path}
    if len(given) != 1:
        raise click.UsageError("one of --keras-json, --keras, --graphdef and --onnx is wanted")
    from converter import imports
    from converter.import_request import Request

    ((form, source),) = given.items()
    found = imports.main(Request(form=form, source=source, **options))  # type: ignore[arg-type]
    if as_json:
        click.echo(json.dumps({"bundle": str(found.bundle), "notes": found.notes}, indent=2))
    else:
        click.echo(_summary(found.bundle, found.notes))


def _summary(bundle: Path, notes: tuple[str, ...]) -> str:
    name = shlex.quote(str(bundle))
    lines = [f"\n{bundle}: written, its golden pictures agree", *(f"  {note}" for note in notes)]
    return "\n".join([*lines, f"  predict  imago predict {name} PICTURES", f"  serve    imago serve --bundle {name}"])
