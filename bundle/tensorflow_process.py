"""A process of its own that turns a model into ONNX, where Keras runs on another backend: tf2onnx knows TensorFlow alone."""

import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from bundle.errors import BundleError, ImagoError

ROOT = Path(__file__).resolve().parent.parent


def onnx(keras_file: bytes, output: str) -> bytes:
    """What canonical.onnx_from_keras makes of the model in a .keras file, under TensorFlow. Raises BundleError."""
    with tempfile.TemporaryDirectory() as folder:
        source, made = Path(folder).resolve() / "model.keras", Path(folder).resolve() / "model.onnx"
        source.write_bytes(keras_file)
        _run([sys.executable, "-m", "bundle.tensorflow_process", str(source), output, str(made)])
        return made.read_bytes()


def _run(command: list[str]) -> None:
    # A converter needs no GPU, whose memory belongs to the backend that trains.
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "-1"}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            said = process.stderr.read().decode(errors="replace") if process.stderr else ""
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        lines = said.strip().splitlines() or [f"exit status {process.returncode}"]
        raise BundleError(f"TensorFlow's process made no ONNX: {lines[-1].strip()}")


def main(source: Path, output: str, made: Path) -> None:
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    from bundle import canonical
    from bundle.engine.keras_any import import_keras

    model = import_keras().models.load_model(source, safe_mode=True, compile=False)
    made.write_bytes(canonical.onnx_from_keras(model, output))


def _end_with_the_parent() -> None:
    """The parent holds the other end and writes nothing: however it ends, so does this."""
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))
    except ImagoError as error:
        sys.exit(str(error))
