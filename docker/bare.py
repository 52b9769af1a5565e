"""Makes the base image ready for a final stage: no installer, a user without a shell, and the modules of a start compiled.

The official Python image comes without compiled modules; where the root is read-only, each start would compile them again.

    python bare.py MODULE ...        what a start imports
"""

import glob
import py_compile
import shutil
import sys
import sysconfig
from importlib import import_module
from pathlib import Path

# Where the official image and Debian's Python keep pip and what belongs to it.
INSTALLERS = (
    "/usr/local/bin/pip*",
    "/usr/local/bin/idle*",
    "/usr/local/bin/wheel",
    "/usr/local/lib/python3.*/ensurepip",
    "/usr/local/lib/python3.*/site-packages/*",
    "/usr/bin/pip*",
    "/usr/lib/python3/dist-packages/*",
    "/usr/share/python-wheels",
    "/root/.cache",
)


def main(modules: list[str]) -> None:
    for module in modules:
        import_module(module)
    compile_loaded(Path(sysconfig.get_path("stdlib")))
    for pattern in INSTALLERS:
        for path in map(Path, glob.glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with open("/etc/passwd", "a") as users, open("/etc/group", "a") as groups:
        users.write("imago:x:10001:10001::/tmp:/usr/sbin/nologin\n")
        groups.write("imago:x:10001:\n")


def compile_loaded(stdlib: Path) -> None:
    """The standard library's modules that were imported so far."""
    for module in list(sys.modules.values()):
        path = getattr(module, "__file__", None)
        if path and path.endswith(".py") and Path(path).is_relative_to(stdlib):
            py_compile.compile(path, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)


if __name__ == "__main__":
    main(sys.argv[1:])
