"""V2's repository: an index of what there is, a load that is a reload, an unload that is refused; as tritonclient asks for them."""

import pytest

http = pytest.importorskip("tritonclient.http", reason="of the dev extra")
utils = pytest.importorskip("tritonclient.utils", reason="of the dev extra")

INDEX, LOAD = "/v2/repository/index", "/v2/repository/models/tiny/load"


@pytest.fixture
def triton(start, link, admin_file):
    """A client of a real server whose operator has keys."""
    with (
        start(link, unready_ms=0, admin_keys=admin_file) as server,
        http.InferenceServerClient(server.url.removeprefix("http://")) as client,
    ):
        yield client


@pytest.fixture
def operated(serving, tiny, admin_file, admin):
    """(path, **more) -> answer to a post with the operator's key."""
    with serving(tiny, admin_keys=admin_file) as app:
        yield lambda path, **more: app.test_client().post(path, headers=admin, **more)


def test_triton_sees_loads_and_does_not_unload(triton, link, tiny, second, move, admin, number):
    assert triton.get_model_repository_index() == [
        {"name": "tiny", "version": number(tiny), "state": "READY", "reason": ""}
    ]
    move(link, second)
    triton.load_model("tiny", headers=admin)
    assert triton.get_model_repository_index()[0]["version"] == number(second)
    with pytest.raises(utils.InferenceServerException, match="tiny cannot be unloaded here; the server serves what"):
        triton.unload_model("tiny", headers=admin)
    assert triton.is_model_ready("tiny", number(second))


def test_triton_without_the_operator_s_key_loads_nothing(triton):
    with pytest.raises(utils.InferenceServerException, match="no good key came with the request"):
        triton.load_model("tiny")


def test_triton_cannot_send_a_model_of_its_own(triton, admin):
    with pytest.raises(utils.InferenceServerException, match="a load takes no parameters here"):
        triton.load_model("tiny", headers=admin, config="{}", files={"file:1/model.onnx": b"x"})


@pytest.mark.parametrize("body", [None, {}, {"ready": True}, {"ready": False}, {"repository_name": ""}])
def test_index_takes_a_filter_or_none(client, tiny, number, body):
    answer = client.post(INDEX, json=body) if body is not None else client.post(INDEX)
    assert answer.json == client.get(INDEX).json
    assert answer.json[0] == {"name": "tiny", "version": number(tiny), "state": "READY", "reason": ""}


@pytest.mark.parametrize("body", ["[]", "7", '{"ready": 1}', '{"repository_name": null}', "{"])
def test_other_filter_is_400(client, body):
    answer = client.post(INDEX, data=body)
    assert (answer.status_code, list(answer.json)) == (400, ["error"])


@pytest.mark.parametrize("body", ["[]", '{"parameters": []}', '{"parameters": {"config": "{}"}}', "{"])
def test_load_with_something_to_load_is_400(operated, body):
    answer = operated(LOAD, data=body)
    assert (answer.status_code, list(answer.json)) == (400, ["error"])


def test_load_is_a_reload(operated):
    answer = operated(LOAD)
    assert answer.json == operated("/models/tiny/reload").json
    assert answer.json["changed"] is False


def test_load_of_a_model_that_is_not_served_is_404(operated):
    answer = operated("/v2/repository/models/cats/load", json={})
    assert (answer.status_code, answer.json) == (404, {"error": "no model 'cats' is served; there is tiny"})


def test_load_of_a_bad_version_is_409_and_the_old_one_stays(serving, link, multi, admin_file, admin, move):
    with serving(link, admin_keys=admin_file) as app:
        move(link, multi)
        answer = app.test_client().post(LOAD, headers=admin)
        assert [one["state"] for one in app.test_client().get(INDEX).json] == ["READY"]
    assert (answer.status_code, list(answer.json)) == (409, ["error"])
    assert "the old one stays" in answer.json["error"]
