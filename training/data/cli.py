"""`imago data ...`: data sets made and looked after."""

from pathlib import Path

import click

a_path = click.Path(path_type=Path)


@click.group()
def data() -> None:
    """Make data sets and look after the cache."""


@data.command()
@click.argument("folder", type=a_path)
@click.option("--count", type=click.IntRange(1), default=200, show_default=True, help="Pictures for each class.")
@click.option("--size", type=click.IntRange(32, 2048), default=256, show_default=True, help="Pixels of their sides.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed draws the same pictures.")
@click.option("--svg", is_flag=True, help="Write each picture's SVG beside it.")
def pieces(folder: Path, count: int, size: int, seed: int, svg: bool) -> None:
    """Draws garment pattern pieces into FOLDER, a folder for each class."""
    from training import pieces as drawn
    from training.progress import Progress

    total = count * len(drawn.LABELS)
    for path, text in Progress().track("drawing", drawn.write(folder, count=count, seed=seed, size=size), total):
        if svg:
            path.with_suffix(".svg").write_text(text)
    click.echo(f"{folder}: {total} pictures of {', '.join(drawn.LABELS)}")


@data.command()
@click.argument("folder", type=a_path)
@click.option("--count", type=click.IntRange(1), default=1000, show_default=True, help="How many.")
@click.option("--size", type=click.IntRange(32, 2048), default=256, show_default=True, help="Pixels of their sides.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed draws the same sheets.")
def sheets(folder: Path, count: int, size: int, seed: int) -> None:
    """Draws sheets with one to three pieces into FOLDER, each with its SVG, and their schema: data for `imago train xml`."""
    from training.pieces import sheets as drawn
    from training.progress import Progress

    for _ in Progress().track("drawing", drawn.write(folder, count=count, seed=seed, size=size), count):
        pass
    click.echo(f"{folder}: {count} sheets with their documents")


@data.command()
@click.argument("source")
@click.argument("list", type=a_path)
@click.option("--model", required=True, help="Of this model; its labels are the list's.")
def feedback(source: str, list: Path, model: str) -> None:
    """Puts what people said to a server's answers into LIST, for `imago train classifier LIST`. SOURCE is what its --feedback names."""
    from training.data.feedback import gather

    kept, unknown = gather(source, list, model)
    click.echo(f"{list}: {kept} pictures with labels; {unknown} left out that have none of the labels")


@data.command()
@click.option("--clear", is_flag=True, help="Remove everything in it.")
@click.option("--cache", type=a_path, help="Where it is.  [default: ~/.cache/imago]")
def cache(clear: bool, cache: Path | None) -> None:
    """Shows how much the cache of decoded pictures holds, or clears it."""
    from training.data.cache import default_directory, prune

    directory = cache or default_directory()
    if clear:
        click.echo(f"{directory}: {prune(directory, 0)} files removed")
        return
    sizes = [path.stat().st_size for path in directory.rglob("*") if path.is_file()]
    click.echo(f"{directory}: {len(sizes)} files, {sum(sizes) / 1e6:.1f} MB")
