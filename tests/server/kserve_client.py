"""Run by test_clients.py in an environment that has `kserve`: its REST client as it comes, against a server; prints what it got.

Arguments: the server's URL, a picture's file, a JSON file with its pixels. Imports nothing of Imago.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path

import numpy as np
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig


async def v1(url, picture, _):
    async with InferenceRESTClient(RESTConfig(protocol="v1")) as client:
        instances = {"instances": [{"b64": base64.b64encode(picture).decode()}]}
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_model_ready(url, "tiny"),
            "unknown": await sentence(client.is_model_ready(url, "cats")),
            "scores": (await client.infer(url, instances, model_name="tiny"))["predictions"],
            "bad": await sentence(client.infer(url, {"instances": []}, model_name="tiny")),
        }


async def v2(url, picture, pixels):
    async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
        ask = {way: request(way, picture, pixels) for way in ("binary", "list", "bytes")}
        answers = {way: await client.infer(url, one, model_name="tiny") for way, one in ask.items()}
        return {
            "live": await client.is_server_live(url),
            "ready": await client.is_server_ready(url),
            "model ready": await client.is_model_ready(url, "tiny"),
            "unknown": await client.is_model_ready(url, "cats"),
            "scores": {way: scores(answer) for way, answer in answers.items()},
            "ids": [answer.id for answer in answers.values()],
            "bad": await sentence(client.infer(url, ask["binary"], model_name="cats")),
        }


def request(way, picture, pixels):
    if way == "bytes":
        one = InferInput("image", [1], "BYTES")
        one.set_data_from_numpy(np.array([picture], np.object_))
    else:
        one = InferInput("pixels", list(pixels.shape), "UINT8")
        one.set_data_from_numpy(pixels, binary_data=way == "binary")
    return InferRequest("tiny", [one], request_id=way)


def scores(answer):
    (found,) = [one for one in answer.outputs if one.name == "scores"]
    return found.as_numpy().tolist()


async def sentence(asked):
    try:
        await asked
    except Exception as error:
        return f"{type(error).__name__}: {error}"


async def main(url, picture, pixels):
    given = Path(picture).read_bytes(), np.array([json.loads(Path(pixels).read_text())], np.uint8)
    print(json.dumps({"v1": await v1(url, *given), "v2": await v2(url, *given)}))


asyncio.run(main(*sys.argv[1:]))
