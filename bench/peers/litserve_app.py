"""The peer LitServe: two workers, each with the same ONNX file on the same engine settings, multipart in, top 5 out."""

import sys
from io import BytesIO

import litserve
import numpy as np
import onnxruntime
from PIL import Image

MODEL, PORT, SIZE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


class Api(litserve.LitAPI):
    def setup(self, device):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(MODEL, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request):
        picture = Image.open(BytesIO(request["image"].file.read()))
        picture.draft("RGB", (2 * SIZE, 2 * SIZE))
        return np.asarray(picture.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BILINEAR))[None]

    def predict(self, pixels):
        return self.session.run(None, {"pixels": pixels})[0][0]

    def encode_response(self, row):
        return {"predictions": [{"label": str(at), "probability": float(row[at])} for at in np.argsort(-row)[:5]]}


if __name__ == "__main__":
    server = litserve.LitServer(Api(api_path="/classify"), accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=PORT, generate_client_file=False, log_level="warning")
