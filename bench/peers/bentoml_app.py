"""The peer BentoML: two workers, each with the same ONNX file on the same engine settings, multipart in, top 5 out."""

import os
from pathlib import Path

import bentoml
import numpy as np
import onnxruntime
from PIL import Image

MODEL, SIZE = os.environ["PEER_MODEL"], int(os.environ["PEER_SIZE"])


@bentoml.service(workers=2, traffic={"timeout": 60})
class Classifier:
    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])

    @bentoml.api
    def classify(self, image: Path) -> dict:
        picture = Image.open(image)
        picture.draft("RGB", (2 * SIZE, 2 * SIZE))
        pixels = np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))[None]
        row = self.session.run(None, {"pixels": pixels})[0][0]
        return {"predictions": [{"label": str(at), "probability": float(row[at])} for at in np.argsort(-row)[:5]]}
