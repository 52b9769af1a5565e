"""Takes out of an environment what the server never reads: tests, headers, stubs, converters, and the models of other AWS services.

python3 docker/slim.py /opt/imago
"""

import shutil
import sys
from pathlib import Path

# Folders by where they lie in site-packages. Each was imported by nothing that serves; tests/images/ run what is left.
FOLDERS = (
    "boto3/examples",
    "boto3/data/[!s]*",
    "lxml/includes",
    "numpy/_core/include",
    "numpy/_core/lib",
    "numpy/distutils",
    "numpy/f2py",
    "numpy/random/lib",
    "onnxruntime/datasets",
    "onnxruntime/quantization",
    "onnxruntime/tools",
    "onnxruntime/transformers",
    "**/tests",
    "**/__pycache__",
)
FILES = ("*.pyi", "*.pyx", "*.pxd", "*.pxi", "*.h", "*.hpp", "*.c", "*.a")
# S3, and what credentials come from: roles (sts), web identity of a cluster (sts), single sign-on and `aws login`.
SERVICES = {"s3", "sts", "sso", "sso-oidc", "signin"}


def main(environment: str) -> None:
    (packages,) = Path(environment).glob("lib/python3.*/site-packages")
    for pattern in FOLDERS:
        for path in list(packages.glob(pattern)):
            shutil.rmtree(path, ignore_errors=True)
    for pattern in FILES:
        for path in packages.rglob(pattern):
            path.unlink()
    for path in (packages / "botocore" / "data").iterdir():
        if path.is_dir() and path.name not in SERVICES:
            shutil.rmtree(path)


if __name__ == "__main__":
    main(sys.argv[1])
