"""Knobs: flags win over the environment, the environment over defaults, and a bad value names both of its spellings."""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import ValidationError

from server import config
from server.cli import serve
from server.config import Config, ConfigError

EMBEDDED = sorted(path.parent for path in Path(config.__file__).parent.glob("bundles/*/manifest.json"))

DEFAULTS = {
    "bundle": (),
    "bundle_cache": "",
    "listen": "127.0.0.1:5000",
    "engine": "auto",
    "engine_threads": 0,
    "request_threads": 0,
    "queue": 64,
    "deadline_ms": 10_000,
    "max_batch": 32,
    "max_wait_ms": 2.0,
    "max_body_mb": 32,
    "read_ms": 10_000,
    "connections": 2048,
    "keepalive_s": 15,
    "bodies_mb": 512,
    "decode_mb": 512,
    "unready_ms": 500,
    "drain_s": 30,
    "log": "auto",
    "api_keys": None,
    "admin_keys": None,
    "metrics_keys": None,
    "cors_origins": (),
    "processes": 1,
    "watch_s": 0.0,
    "url_allow": (),
    "s3_allow": (),
    "otlp": "",
    "feedback": "",
    "feedback_pictures": False,
}

# Knob -> another value, as text.
OTHERS = {
    "bundle": ("a, s3://b/c-12345678", ("a", "s3://b/c-12345678")),
    "bundle_cache": ("/x", "/x"),
    "listen": ("0.0.0.0:80", "0.0.0.0:80"),
    "engine": ("onnx", "onnx"),
    "engine_threads": ("3", 3),
    "request_threads": ("4", 4),
    "queue": ("5", 5),
    "deadline_ms": ("600", 600),
    "max_batch": ("7", 7),
    "max_wait_ms": ("0.5", 0.5),
    "max_body_mb": ("9", 9),
    "read_ms": ("100", 100),
    "connections": ("9", 9),
    "keepalive_s": ("75", 75),
    "bodies_mb": ("64", 64),
    "decode_mb": ("64", 64),
    "unready_ms": ("0", 0),
    "drain_s": ("11", 11),
    "log": ("json", "json"),
    "api_keys": ("a.keys", Path("a.keys")),
    "admin_keys": ("b.keys", Path("b.keys")),
    "metrics_keys": ("c.keys", Path("c.keys")),
    "cors_origins": ("https://a.example,http://b:81", ("https://a.example", "http://b:81")),
    "processes": ("2", 2),
    "watch_s": ("1.5", 1.5),
    "url_allow": ("a.example,http://b:80", ("a.example", "http://b:80")),
    "s3_allow": ("a,b", ("a", "b")),
    "otlp": ("http://a:4318", "http://a:4318"),
    "feedback": ("s3://bucket/said", "s3://bucket/said"),
    "feedback_pictures": ("true", True),
}

BAD = [
    ("listen", "5000", "'5000' is no HOST:PORT"),
    ("listen", "localhost:99999", "'localhost:99999' is no HOST:PORT"),
    ("listen", "a b:80", "'a b:80' is no HOST:PORT"),
    ("listen", "localhost:80\n", r"'localhost:80\n' is no HOST:PORT"),
    ("engine", "tpu", "Input should be 'auto', 'onnx' or 'keras'"),
    ("engine_threads", "-1", "Input should be greater than or equal to 0"),
    ("request_threads", "-1", "Input should be greater than or equal to 0"),
    ("queue", "many", "Input should be a valid integer, unable to parse string as an integer"),
    ("queue", "100001", "Input should be less than or equal to 100000"),
    ("deadline_ms", "9", "Input should be greater than or equal to 10"),
    ("max_batch", "2.5", "Input should be a valid integer, unable to parse string as an integer"),
    ("max_wait_ms", "-0.1", "Input should be greater than or equal to 0"),
    ("max_wait_ms", "nan", "Input should be"),
    ("max_body_mb", "1025", "Input should be less than or equal to 1024"),
    ("unready_ms", "60001", "Input should be less than or equal to 60000"),
    ("processes", "0", "Input should be greater than or equal to 1"),
    ("watch_s", "-1", "Input should be greater than or equal to 0"),
    ("url_allow", "a,b c", "'b c' is no host name, and no http://HOST:PORT"),
    ("drain_s", "", "Input should be a valid integer, unable to parse string as an integer"),
    ("feedback", "s3://", "s3://: wanted s3://BUCKET/FOLDER, with plain names"),
    ("feedback", "s3://b/../c", "s3://b/../c: wanted s3://BUCKET/FOLDER, with plain names"),
    ("feedback_pictures", "often", "Input should be a valid boolean, unable to interpret input"),
    ("log", "xml", "Input should be 'auto', 'json' or 'text'"),
    *(
        ("cors_origins", bad, f"{bad.split(',')[-1]!r} is no origin; wanted scheme://host")
        for bad in ("*", "null", "a.example", "https://a.example/", "https://A.example", "https://a.example,http://*.b")
    ),
]


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch):
    for knob in Config.model_fields:
        monkeypatch.delenv(f"IMAGO_{knob.upper()}", raising=False)


def test_defaults():
    assert config.read().model_dump() == DEFAULTS


@pytest.mark.parametrize("knob", OTHERS)
def test_environment_sets_every_knob(monkeypatch, knob):
    text, value = OTHERS[knob]
    monkeypatch.setenv(f"IMAGO_{knob.upper()}", text)
    assert config.read().model_dump() == {**DEFAULTS, knob: value}


@pytest.mark.parametrize("knob", OTHERS)
def test_flag_wins_over_the_environment(monkeypatch, knob):
    text, value = OTHERS[knob]
    monkeypatch.setenv(f"IMAGO_{knob.upper()}", str(DEFAULTS[knob]) if DEFAULTS[knob] else "")
    assert config.read(**{knob: text}).model_dump() == {**DEFAULTS, knob: value}


def test_flag_that_is_not_given_leaves_the_environment(monkeypatch):
    monkeypatch.setenv("IMAGO_QUEUE", "5")
    assert config.read(queue=None, bundle=()).queue == 5


@pytest.mark.parametrize("name", ["IMAGO_DATA", "IMAGO_WHATEVER", "QUEUE"])
def test_other_variables_are_left_alone(monkeypatch, name):
    monkeypatch.setenv(name, "x")
    assert config.read().model_dump() == DEFAULTS


@pytest.mark.parametrize(("knob", "text", "words"), BAD)
def test_bad_flag_is_one_sentence_with_both_spellings(knob, text, words):
    with pytest.raises(ConfigError) as caught:
        config.read(**{knob: text})
    assert str(caught.value).startswith(f"--{knob.replace('_', '-')} (IMAGO_{knob.upper()}): {words}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("knob", "text", "words"), BAD)
def test_bad_variable_is_one_sentence_with_both_spellings(monkeypatch, knob, text, words):
    monkeypatch.setenv(f"IMAGO_{knob.upper()}", text)
    with pytest.raises(ConfigError) as caught:
        config.read()
    assert str(caught.value).startswith(f"--{knob.replace('_', '-')} (IMAGO_{knob.upper()}): {words}")


@pytest.mark.parametrize("listen", ["127.0.0.1:0", "localhost:5000", "[::1]:8080", "my-host.example:65535"])
def test_good_address_is_taken(listen):
    assert config.read(listen=listen).listen == listen


def test_config_is_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        config.read().queue = 5


def test_table_has_a_row_a_knob_with_a_meaning():
    rows = config.table()
    assert {row[1] for row in rows} == {f"IMAGO_{knob.upper()}" for knob in DEFAULTS}
    assert all(row[4] for row in rows)


@pytest.mark.parametrize(
    ("flag", "default", "limits"),
    [
        ("--queue", "64", "1 … 100000"),
        ("--max-wait-ms", "2.0", "0 … 1000"),
        ("--engine", "auto", "–"),
        ("--bundle", "–", "–"),
    ],
)
def test_table_shows_default_and_range(flag, default, limits):
    (row,) = [row for row in config.table() if row[0] == flag]
    assert row[2:4] == (default, limits)


@pytest.mark.parametrize("knob", DEFAULTS)
def test_help_shows_every_knob(knob):
    text = CliRunner().invoke(serve, ["--help"]).output
    assert f"--{knob.replace('_', '-')}" in text
    assert f"IMAGO_{knob.upper()}" in text


@pytest.mark.skipif(not EMBEDDED, reason="`make bundles` has not run")
def test_without_a_bundle_the_embedded_ones_are_served():
    assert sorted(config.read().bundles) == [str(path) for path in EMBEDDED]


def test_what_classifies_comes_first_of_those_that_are_embedded(monkeypatch, tmp_path, tiny, boxes):
    for bundle in (boxes, tiny):
        shutil.copytree(bundle, tmp_path / "bundles" / bundle.name)
    monkeypatch.setattr(config.resources, "files", lambda _: tmp_path)
    assert [Path(path).name for path in config.read().bundles] == [tiny.name, boxes.name]


@pytest.mark.skipif(bool(EMBEDDED), reason="there is a default bundle")
def test_without_any_bundle_one_is_asked_for():
    with pytest.raises(
        ConfigError, match="this installation has no default bundle; name one with --bundle, or make it"
    ):
        config.read().bundles  # noqa: B018
