"""`imago bundle ...`: show, verify, list, compare and prune bundles, and carry them to and from S3."""

import json
import time
from pathlib import Path
from typing import Any

import click

from bundle import model, store
from bundle import prune as old_ones
from bundle import pull as remote
from bundle.engine import CHOICES, Choice
from bundle.errors import BundleError
from bundle.manifest import ClassifierManifest, Manifest, XmlManifest

a_path = click.Path(path_type=Path)


@click.group()
def bundle() -> None:
    """Show, verify, list, compare and prune bundles; carry them to and from S3."""


@bundle.command()
@click.argument("path", type=a_path)
@click.option("--json", "as_json", is_flag=True, help="Print the whole manifest as JSON.")
def show(path: Path, as_json: bool) -> None:
    """What the bundle at PATH says of itself (its files are not read: see verify)."""
    manifest = store.read_manifest(path)
    if as_json:
        click.echo(manifest.model_dump_json(indent=2))
        return
    for key, value in _summary(manifest, path).items():
        click.echo(f"{key:<12} {value}")


@bundle.command()
@click.argument("path", type=a_path)
@click.option(
    "--engine", type=click.Choice(CHOICES), default="auto", show_default=True, help="What replays the golden pictures."
)
def verify(path: Path, engine: Choice) -> None:
    """Checks every byte of the bundle at PATH, loads it and replays its golden pictures."""
    opened = model.open(path, engine)
    for warning in opened.warnings:
        click.echo(f"warning: {warning}", err=True)
    click.echo(f"{path}: good: {len(opened.manifest.files)} files, golden pictures agree on {opened.engine.name}")


@bundle.command("list")
@click.argument("root", default="bundles")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(root: str, as_json: bool) -> None:
    """The bundles in the folder ROOT (./bundles, or s3://BUCKET/FOLDER), one a line."""
    rows = _remote_rows(root) if remote.remote(root) else [_row(path) for path in store.find(Path(root))]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(row.get("error") or _line(row))
    if not rows:
        click.echo(f"{root}: no bundles; `imago train classifier` makes one", err=True)


@bundle.command()
@click.argument("uri")
@click.option("--to", "root", type=a_path, default=Path("bundles"), show_default=True, help="The folder it goes into.")
def pull(uri: str, root: Path) -> None:
    """Fetches the bundle at URI (s3://BUCKET/FOLDER/NAME-ID8 or NAME.latest) and verifies it.

    One that is there is not fetched again; one of that name that was changed is replaced.
    """
    click.echo(str(remote.pull(uri, root)))


@bundle.command()
@click.argument("path", type=a_path)
@click.argument("uri")
@click.option("--latest", is_flag=True, help="Let NAME.latest name it: servers that follow that name take it.")
def push(path: Path, uri: str, latest: bool) -> None:
    """Copies the bundle at PATH under URI (s3://BUCKET/FOLDER), its manifest last; never over another bundle."""
    target = remote.push(path, uri)
    click.echo(str(target))
    if latest:
        click.echo(str(remote.point(target)))


@bundle.command()
@click.argument("root")
@click.option("--keep", type=click.IntRange(1), required=True, help="How many of each name stay, the newest.")
@click.option("--older-than", type=click.FloatRange(0), default=0, metavar="DAYS", help="Younger ones stay, too.")
@click.option("--used", multiple=True, metavar="ID", help="Stays: an id, NAME-ID8 or its URI. May be repeated.")
@click.option("--dry-run", is_flag=True, help="Only show what would go, and why the rest stays.")
def prune(root: str, keep: int, older_than: float, used: tuple[str, ...], dry_run: bool) -> None:
    """Removes old bundles from the folder ROOT (s3://BUCKET/FOLDER or a directory).

    What NAME.latest (on a disk, a link) points to stays, and what --used names. Half a bundle stays; reports stay.
    """
    rows = old_ones.plan(root, keep=keep, older_than_days=older_than, used=used)
    for row in rows:
        if dry_run:
            click.echo(_plan_line(row))
        elif row.manifest is None:
            click.echo(f"left: {row.stays}", err=True)
        elif not row.stays:
            old_ones.remove(row)
            click.echo(f"removed {row.where}")
    going = [row for row in rows if not row.stays]
    verb = "would go" if dry_run else "removed"
    click.echo(f"{len(going)} of {len(rows)} {verb}, {sum(row.size for row in going) / 1e6:.1f} MB", err=True)


@bundle.command()
@click.argument("old", type=a_path)
@click.argument("new", type=a_path)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def diff(old: Path, new: Path, as_json: bool) -> None:
    """What differs from bundle OLD to bundle NEW; exit status 1 where something does."""
    first, second = (_flat(store.read_manifest(path)) | _label_lines(path) for path in (old, new))
    changes = [
        {"what": key, "old": first.get(key), "new": second.get(key)}
        for key in sorted(first.keys() | second.keys())
        if first.get(key) != second.get(key)
    ]
    if as_json:
        click.echo(json.dumps(changes, indent=2))
    else:
        for change in changes:
            click.echo(f"{change['what']}: {change['old']} -> {change['new']}")
    raise SystemExit(1 if changes else 0)


def _row(path: Path) -> dict[str, Any]:
    try:
        manifest = store.read_manifest(path)
    except BundleError as error:  # one bad bundle must not hide the others
        return {"path": str(path), "error": str(error)}
    return {"path": str(path), **_columns(manifest)}


def _remote_rows(root: str) -> list[dict[str, Any]]:
    return [
        {"path": str(source), **({"error": str(found)} if isinstance(found, BundleError) else _columns(found))}
        for source, found in remote.folders(root)
    ]


def _columns(manifest: Manifest) -> dict[str, Any]:
    return manifest.model_dump(mode="json", include={"name", "id", "kind", "labels", "vocabulary", "metrics"})


def _summary(manifest: Manifest, path: Path) -> dict[str, str]:
    spec = manifest.preprocess
    size = sum(file.size for file in manifest.files.values())
    return {
        "name": manifest.name,
        "id": manifest.id,
        **(_about_xml(manifest) if manifest.kind == "xml" else _about_labels(manifest, store.read_labels(path))),
        "input": f"{spec.width} x {spec.height} RGB, {spec.resize}",
        "metrics": _metrics(manifest.kind, manifest.metrics),
        "files": f"{len(manifest.files)}, {size / 1e6:.1f} MB",
    }


def _about_labels(manifest: ClassifierManifest, labels: tuple[str, ...]) -> dict[str, str]:
    training = manifest.training
    return {
        "kind": f"classifier, {'several labels' if manifest.scores == 'sigmoid' else 'one label'} a picture",
        "labels": ", ".join(labels[:12]) + (f", ... ({len(labels)} in all)" if len(labels) > 12 else ""),
        "source": f"model.{manifest.source}",
        "trained": f"{training.backbone}, head {training.head}, {training.photos} photos" if training else "elsewhere",
    }


def _about_xml(manifest: XmlManifest) -> dict[str, str]:
    training, sure = manifest.training, manifest.sure
    low, high = (f"{100 * edge:.2f}" for edge in sure.interval)
    return {
        "kind": "xml, a document a picture",
        "schema": f"schema.rng, {manifest.vocabulary} tokens, {manifest.most_tokens} a document at most",
        "sure": f"{100 * sure.wrong:.2f} % wrong ({low} to {high}) of those that are sure, on {sure.pictures} pictures",
        "source": "model.keras" if manifest.source == "keras" else "encoder.onnx and step.onnx",
        "trained": f"encoder {training.encoder}, {training.pairs} pairs" if training else "elsewhere",
    }


def _plan_line(row: old_ones.Row) -> str:
    written = time.strftime("%Y-%m-%d %H:%M", time.gmtime(row.at)) if row.at else "-"
    what = f"stays: {row.stays}" if row.stays else "goes"
    return f"{row.where.name:<32} {written:<16} {row.size / 1e6:>8.1f} MB  {what}"


def _line(row: dict[str, Any]) -> str:
    what = f"{row['labels']} labels" if row["kind"] == "classifier" else f"{row['vocabulary']} tokens"
    return f"{row['path']}  {row['kind']}, {what}, {_metrics(row['kind'], row['metrics'])}"


def _metrics(kind: str, metrics: dict[str, float]) -> str:
    """Those of XML are no percentages, or not all of them."""
    if kind == "classifier" or not metrics:
        return _percent(metrics)
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())


def _percent(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {100 * value:.1f} %" for name, value in metrics.items()) or "no metrics"


def _flat(manifest: Manifest) -> dict[str, Any]:
    """Dotted key -> value, files by their digest."""
    found: dict[str, Any] = {}
    rest: list[tuple[str, Any]] = [("", manifest.model_dump(mode="json"))]
    while rest:
        key, value = rest.pop()
        if isinstance(value, dict):
            rest.extend((f"{key}.{name}" if key else name, item) for name, item in value.items())
        else:
            found[key] = value
    return found


def _label_lines(path: Path) -> dict[str, str]:
    if not (path / "labels.txt").exists():
        return {}
    return {f"label {number}": label for number, label in enumerate(store.read_labels(path), start=1)}
