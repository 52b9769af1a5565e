"""Puts uv into .uv/bin, from PyPI, in the version and with the hash that uv.lock names. Needs Python 3.11 and nothing else.

pip goes first, since it knows a company's mirror and proxy; a fresh Debian has no pip, so the wheel is fetched by hand then.
"""

import hashlib
import io
import os
import platform
import subprocess
import sys
import tempfile
import tomllib
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / ".uv"


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit(
            f"Python 3.11 or newer is needed, this is {platform.python_version()}; try: make PYTHON=python3.12 ..."
        )
    packages = tomllib.loads((ROOT / "uv.lock").read_text())["package"]
    uv = next(package for package in packages if package["name"] == "uv")
    if not by_pip(uv):
        by_hand(uv["wheels"])
    print(f"uv {uv['version']} is in {TARGET.relative_to(ROOT)}/bin")


def by_pip(uv: dict[str, Any]) -> bool:
    hashes = " ".join(f"--hash={wheel['hash']}" for wheel in uv["wheels"])
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(f"uv=={uv['version']} {hashes}\n")
        file.flush()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
        command += ["--only-binary", ":all:", "--upgrade", "--target", str(TARGET), "--requirement", file.name]
        return subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode == 0


def by_hand(wheels: list[dict[str, str]]) -> None:
    wheel = next((wheel for wheel in wheels if fits(wheel["url"])), None)
    if wheel is None:
        sys.exit(f"uv has no wheel for {sys.platform} on {platform.machine()}; install uv, then: make UV=uv ...")
    try:
        with urllib.request.urlopen(wheel["url"], timeout=60) as response:
            data = response.read()
    except OSError as error:
        sys.exit(f"uv could not be fetched from PyPI ({error}); install pip or uv by hand, then: make UV=uv ...")
    if f"sha256:{hashlib.sha256(data).hexdigest()}" != wheel["hash"]:
        sys.exit("the wheel of uv that came has another hash than uv.lock; try again")
    (TARGET / "bin").mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        member = next(name for name in archive.namelist() if name.endswith(".data/scripts/uv"))
        temporary = TARGET / "bin" / f".uv-{os.getpid()}"
        temporary.write_bytes(archive.read(member))
    temporary.chmod(0o755)
    temporary.replace(TARGET / "bin" / "uv")


def fits(url: str) -> bool:
    """Whether the wheel runs here; the ones for musl run on glibc too, but not the other way round."""
    machine = {"AMD64": "x86_64", "arm64": "arm64" if sys.platform == "darwin" else "aarch64"}
    kind = {"linux": "manylinux", "darwin": "macosx"}.get(sys.platform, "-")
    return kind in url and machine.get(platform.machine(), platform.machine()) in url


if __name__ == "__main__":
    main()
