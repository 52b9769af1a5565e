"""A new version takes over without a failed request; a bad one changes nothing."""

import gc
import queue
import shutil
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from bundle import pull, storage
from server.errors import VersionRefused
from server.versions import Watch, reload

JPEG = {"Content-Type": "image/jpeg"}


@pytest.fixture
def models(serving, link):
    with serving(link) as app:
        yield app.extensions["imago"]


@pytest.fixture
def broken(second, tmp_path):
    path = shutil.copytree(second, tmp_path / "broken" / second.name)
    (path / "labels.txt").write_text("red\ngreen\ngrue\n")
    return path


def served_id(models):
    return models.get("tiny").model.manifest.id[:8]


def engine_threads():
    return {thread for thread in threading.enumerate() if thread.name.startswith("engine-")}


# ---- one reload ----------------------------------------------------------------------------


def test_new_version_takes_over(models, link, second, move):
    move(link, second)
    assert reload(models, "tiny")
    assert served_id(models) == second.name[-8:]
    assert models.last_reload | {"at": ""} == {
        "name": "tiny",
        "id": models.get("tiny").model.manifest.id,
        "at": "",
        "refused": "",
    }


def test_same_version_is_left_as_it_is(models):
    before = models.get("tiny")
    assert not reload(models, "tiny")
    assert models.get("tiny") is before


def test_order_of_the_models_stays(serving, link, multi, second, move):
    with serving(link, multi) as app:
        move(link, second)
        reload(app.extensions["imago"], "tiny")
        assert [one.manifest.name for one in app.extensions["imago"].all()] == ["tiny", "multi"]


def test_broken_version_is_refused_without_a_path_and_the_old_one_stays(models, link, tiny, broken, move):
    move(link, broken)
    with pytest.raises(VersionRefused) as caught:
        reload(models, "tiny")
    reason = f"{broken.name}/labels.txt: its content was changed (sha256 differs); fetch the bundle again"
    assert str(caught.value) == f"the new version of tiny is refused, the old one stays: {reason}"
    assert (served_id(models), models.last_reload["refused"]) == (tiny.name[-8:], reason)


def test_version_with_other_golden_answers_is_refused(models, link, second, onnx, resign, tmp_path, move):
    path = shutil.copytree(second, tmp_path / "wrong")
    (path / "model.onnx").write_bytes(onnx("Sigmoid"))
    move(link, resign(path))
    with pytest.raises(VersionRefused, match="golden"):
        reload(models, "tiny")


def test_bundle_of_another_name_is_refused(models, link, multi, move):
    move(link, multi)
    with pytest.raises(VersionRefused, match="is called multi, tiny wanted"):
        reload(models, "tiny")


def test_bundle_that_has_gone_is_refused(models, link):
    link.unlink()
    with pytest.raises(VersionRefused, match="cannot be read now"):
        reload(models, "tiny")


def test_version_that_the_engine_breaks_on_is_refused_without_its_words(models, link, second, monkeypatch, move):
    move(link, second)
    monkeypatch.setattr("bundle.golden.replay", lambda *_: 1 / 0)
    with pytest.raises(VersionRefused, match="it cannot be loaded; the server's log says why$"):
        reload(models, "tiny")


def test_refused_reason_is_in_version(serving, link, broken, move):
    with serving(link) as app:
        move(link, broken)
        with pytest.raises(VersionRefused):
            reload(app.extensions["imago"], "tiny")
        last = app.test_client().get("/version").json["last_reload"]
    assert last["refused"].startswith(f"{broken.name}/labels.txt: ")


# ---- who still holds the old one -----------------------------------------------------------


def test_request_that_holds_the_old_version_finishes_on_it(models, link, second, jpeg, move):
    old = models.get("tiny")
    move(link, second)
    reload(models, "tiny")
    gc.collect()
    assert old.pool.row(old.model.prepare(jpeg), timeout_s=60).shape == (3,)


def test_old_threads_end_when_nobody_holds_them(models, link, second, move, until):
    before = set(models.get("tiny").pool._threads)
    move(link, second)
    reload(models, "tiny")
    gc.collect()
    assert until(lambda: not before & engine_threads())
    assert models.alive()


def test_refused_version_leaves_no_threads(models, link, multi, move, until):
    before = engine_threads()
    move(link, multi)
    with pytest.raises(VersionRefused):
        reload(models, "tiny")
    gc.collect()
    assert until(lambda: engine_threads() <= before)  # those of other tests may end meanwhile


# ---- the watch -----------------------------------------------------------------------------


@pytest.fixture
def watch(models):
    return Watch(models, queue.SimpleQueue())


def test_watch_takes_a_new_version(watch, models, link, second, move):
    move(link, second)
    watch.look()
    assert served_id(models) == second.name[-8:]


def test_watch_tries_a_bad_version_once(watch, models, link, broken, move):
    move(link, broken)
    watch.look()
    models.last_reload = None
    watch.look()
    assert models.last_reload is None


def test_watch_tries_again_when_a_half_copied_bundle_is_whole(watch, models, link, second, tmp_path, move):
    half = shutil.copytree(second, tmp_path / "half")
    (half / "labels.txt").unlink()
    move(link, half)
    watch.look()
    shutil.copy(second / "labels.txt", half)
    watch.look()
    assert served_id(models) == second.name[-8:]


def test_watch_takes_what_an_s3_name_moves_to(serving, s3, tiny, second, tmp_path):
    folder = f"s3://models/{tmp_path.name}"
    pull.point(pull.push(tiny, folder))
    with serving(f"{folder}/tiny.latest", bundle_cache=str(tmp_path / "cache")) as app:
        pull.point(pull.push(second, folder))
        Watch(app.extensions["imago"], queue.SimpleQueue()).look()
        assert served_id(app.extensions["imago"]) == second.name[-8:]


def test_watch_outlives_storage_that_is_away(serving, s3, tiny, tmp_path, monkeypatch, free_port):
    latest = str(pull.point(pull.push(tiny, f"s3://models/{tmp_path.name}")))
    with serving(latest, bundle_cache=str(tmp_path / "cache")) as app:
        with monkeypatch.context() as away:
            away.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port}")
            storage.client.cache_clear()
            Watch(app.extensions["imago"], queue.SimpleQueue()).look()
        storage.client.cache_clear()
        assert served_id(app.extensions["imago"]) == tiny.name[-8:]


# ---- by HTTP -------------------------------------------------------------------------------


def test_admin_reloads_by_http(serving, link, tiny, second, admin_file, move, admin):
    with serving(link, admin_keys=admin_file) as app:
        move(link, second)
        answer = app.test_client().post("/models/tiny/reload", headers=admin)
    assert answer.json["before"][:8] == tiny.name[-8:]
    assert answer.json | {"before": ""} == {
        "name": "tiny",
        "id": answer.json["id"],
        "before": "",
        "changed": True,
        "others_told": False,
    }


def test_refused_version_is_a_409(serving, link, broken, admin_file, move, admin):
    with serving(link, admin_keys=admin_file) as app:
        move(link, broken)
        answer = app.test_client().post("/models/tiny/reload", headers=admin)
    assert (answer.status_code, answer.json["code"], "/tmp" in answer.text) == (409, "version-refused", False)


def test_nobody_may_by_default(client):
    answer = client.post("/models/tiny/reload")
    assert (answer.status_code, answer.json["code"]) == (403, "forbidden")


def test_unknown_model_is_a_404_for_the_admin(serving, link, admin_file, admin):
    with serving(link, admin_keys=admin_file) as app:
        assert app.test_client().post("/models/cats/reload", headers=admin).json["code"] == "unknown-model"


# ---- a real server -------------------------------------------------------------------------


def version(server):
    return requests.get(server.url + "/version", timeout=60).json()


def now_serves(server, path):
    return version(server)["models"][0]["id"][:8] == path.name[-8:]


def test_sighup_loads_the_new_version(start, link, second, move, until):
    with start(link, unready_ms=0) as server:
        move(link, second)
        server.process.send_signal(signal.SIGHUP)
        assert until(lambda: now_serves(server, second))


def test_sighup_with_a_broken_version_leaves_the_old_one(start, link, tiny, broken, jpeg, move, until):
    with start(link, unready_ms=0) as server:
        move(link, broken)
        server.process.send_signal(signal.SIGHUP)
        assert until(lambda: "last_reload" in version(server))
        assert now_serves(server, tiny)
        assert requests.post(server.url + "/classify", data=jpeg, headers=JPEG, timeout=60).ok


def test_watch_needs_no_signal(start, link, second, move, until):
    with start(link, unready_ms=0, watch_s=0.1) as server:
        move(link, second)
        assert until(lambda: now_serves(server, second))


def memory_kb(server):
    """What is the worker's own: a library's pages are counted by how many other processes have them too at the moment."""
    (worker,) = requests_children(server.process.pid)
    with open(f"/proc/{worker}/smaps_rollup") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("Pss_Anon:"))


def requests_children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(word) for word in file.read().split()]


def reloads_under_load(server, link, versions, jpeg, count, *, move, admin):
    """Statuses of all requests that were sent meanwhile by four clients."""
    ended = threading.Event()

    def client(_):
        statuses = []
        with requests.Session() as session:
            while not ended.is_set():
                answer = session.post(server.url + "/classify", data=jpeg, headers=JPEG, timeout=60)
                statuses.append(answer.status_code)
        return statuses

    with ThreadPoolExecutor(4) as clients:
        jobs = [clients.submit(client, n) for n in range(4)]
        try:
            for n in range(count):
                move(link, versions[n % len(versions)])
                assert requests.post(server.url + "/models/tiny/reload", headers=admin, timeout=60).json()["changed"]
        finally:
            ended.set()
    return [status for job in jobs for status in job.result()]


def test_reloads_under_load_fail_no_request(start, link, tiny, second, jpeg, admin_file, move, admin):
    with start(link, unready_ms=0, admin_keys=admin_file) as server:
        statuses = reloads_under_load(server, link, [second, tiny], jpeg, 6, move=move, admin=admin)
    assert len(statuses) > 20
    assert set(statuses) == {200}


@pytest.mark.soak
def test_100_reloads_under_load_keep_the_memory(start, link, tiny, second, jpeg, admin_file, move, admin):
    with start(link, unready_ms=0, admin_keys=admin_file) as server:
        statuses = reloads_under_load(
            server, link, [second, tiny], jpeg, 20, move=move, admin=admin
        )  # until the allocator has what it wants
        before = memory_kb(server)
        statuses += reloads_under_load(server, link, [second, tiny], jpeg, 100, move=move, admin=admin)
        after = memory_kb(server)
    print(
        f"\n{len(statuses)} requests during 120 reloads; {before / 1024:.1f} MB after 20 of them, {after / 1024:.1f} at the end"
    )
    assert set(statuses) == {200}
    assert after <= before * 1.05
