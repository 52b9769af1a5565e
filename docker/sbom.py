"""Writes what an image holds as CycloneDX JSON: every Python distribution of this environment, and Debian's packages.

python docker/sbom.py imago-server --lock uv.lock --output sbom.json
"""

import argparse
import hashlib
import json
from importlib.metadata import Distribution, distributions
from pathlib import Path
from urllib.parse import quote

STATUS = Path("/var/lib/dpkg/status")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args()
    found = {dist.name.lower(): python(dist) for dist in distributions()}
    components = [*found.values(), *(debian(fields) for fields in packages() if fields.get("Version"))]
    lock = hashlib.sha256(given.lock.read_bytes()).hexdigest()
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(document(given.name, lock, components), indent=1) + "\n")


def document(name: str, lock: str, components: list[dict[str, object]]) -> dict[str, object]:
    """No time and no serial number: the same content gives the same bytes."""
    about = {"type": "container", "bom-ref": name, "name": name}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": about, "properties": [{"name": "imago:uv.lock:sha256", "value": lock}]},
        "components": sorted(components, key=lambda component: str(component["purl"])),
    }


def python(dist: Distribution) -> dict[str, object]:
    name = dist.name.lower().replace("_", "-").replace(".", "-")
    made = component(dist.name, dist.version, f"pkg:pypi/{name}@{dist.version}")
    licence = dist.metadata.get("License-Expression")
    return {**made, "licenses": [{"expression": licence}]} if licence else made


def debian(fields: dict[str, str]) -> dict[str, object]:
    name, version = fields["Package"], fields["Version"]
    return component(name, version, f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={fields['Architecture']}")


def component(name: str, version: str, purl: str) -> dict[str, object]:
    return {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}


def packages() -> list[dict[str, str]]:
    """The installed ones of dpkg's list; none where the base has no such list."""
    if not STATUS.is_file():
        return []
    found = []
    for paragraph in STATUS.read_text(encoding="utf-8").split("\n\n"):
        pairs = (line.partition(": ") for line in paragraph.splitlines() if line[:1].strip())
        fields = {name: value for name, _, value in pairs}
        if fields.get("Status") == "install ok installed":
            found.append(fields)
    return found


if __name__ == "__main__":
    main()
