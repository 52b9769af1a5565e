"""Augmentation as data: what a name stands for, how far its numbers go, and that nothing else hangs on chance."""

from dataclasses import fields, replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from bundle.errors import DataError
from bundle.image import Preprocess
from training import augment, distort
from training.run import Augmentation, Run

SPEC = Preprocess(height=48, width=48, resize="crop", resample="bilinear", color="rgb")
WIDE = SPEC.model_copy(update={"width": 64, "resize": "squash"})
FLAGS = {"random_crop": 10, "random_scale": 20, "random_brightness": 30, "flip_left_right": True}


@pytest.fixture
def run():
    def make(**knobs) -> Run:
        return Run(data=Path("data"), name="it", out=Path("out"), cache=Path("cache"), cache_bytes=0, **knobs)

    return make


def _policies(run) -> list[distort.Policy]:
    return [*(distort.named(name, SPEC) for name in get_args(Augmentation)), distort.policy(run(size=48, **FLAGS))]


def _picture(policy: distort.Policy, seed: int = 0) -> np.ndarray:
    return augment.soft((policy.fitted.height, policy.fitted.width, 3), np.random.default_rng(seed))


def _draws(policy: distort.Policy, count: int = 3000) -> list[distort.Change]:
    rng = np.random.default_rng(0)
    return [policy.draw(rng) for _ in range(count)]


def _goes_from_to(numbers: list[float], low: float, high: float) -> None:
    """All are within, and both ends are nearly met."""
    near = (high - low) / 100
    assert low <= min(numbers) < low + near
    assert high - near < max(numbers) <= high


# ---- every policy ----------------------------------------------------------------------------


@pytest.mark.parametrize("spec", [SPEC, WIDE], ids=["square", "wide"])
@pytest.mark.parametrize("name", get_args(Augmentation))
def test_a_sample_is_what_the_network_is_given_and_hangs_on_the_seed_alone(name, spec):
    policy = distort.named(name, spec)
    pixels = _picture(policy)
    before = pixels.copy()
    for seed in range(20):
        first, again = (policy.apply(pixels, np.random.default_rng(seed)) for _ in range(2))
        assert first.shape == (spec.height, spec.width, 3)
        assert first.dtype == np.uint8
        assert (first == again).all()
    assert (pixels == before).all()


def test_seeds_give_other_samples(run):
    for policy in _policies(run):
        samples = {policy.apply(_picture(policy), np.random.default_rng(seed)).tobytes() for seed in range(12)}
        assert len(samples) == (1 if policy.name in ("none", "retrain") and not policy.brightness else 12)


def test_none_gives_the_picture_and_keeps_no_second_one():
    policy = distort.named("none", SPEC)
    pixels = _picture(policy)
    assert policy.fitted == SPEC
    assert (policy.apply(pixels, np.random.default_rng(0)) == pixels).all()
    assert (policy.plain(pixels) == pixels).all()


def test_a_policy_without_strength_gives_the_plain_picture(run):
    still = {"flip": False, "brightness": 0.0, "hue": 0.0, "saturation": 0.0, "lightness": 0.0}
    for policy in _policies(run):
        weak = replace(policy, **still, enlarged=(1.0, 1.0), rotation=0.0, shear=0.0, aspect=0.0, cells=())
        pixels = _picture(policy)
        off = np.abs(weak.apply(pixels, np.random.default_rng(3)).astype(int) - policy.plain(pixels))
        assert off.max() <= 1, policy.name


def test_a_piece_has_never_fewer_pixels_than_the_network_is_given(run):
    for policy in _policies(run):
        if not policy.cells:
            places = [change.placement for change in _draws(policy, 500)]
            least = min(place.part * min(place.stretch) for place in places)
            assert least * policy.fitted.width >= SPEC.width - 1e-6


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_the_larger_picture_is_the_same_view(resize):
    fitted = distort.named("crop", SPEC.model_copy(update={"resize": resize})).fitted
    assert fitted == SPEC.model_copy(update={"resize": resize, "height": fitted.height, "width": fitted.width})
    assert fitted.height > SPEC.height


@pytest.mark.parametrize("name", ["retrain", "crop", "crop_color", "crop_color_transform"])
def test_no_cut_shows_what_is_not_in_the_photo(name, run):
    policy = distort.policy(run(size=48, **FLAGS)) if name == "retrain" else distort.named(name, SPEC)
    plain = replace(policy, brightness=0.0, hue=0.0, saturation=0.0, lightness=0.0)
    one = np.full((policy.fitted.height, policy.fitted.width, 3), (20, 120, 60), np.uint8)
    rng = np.random.default_rng(0)
    assert all((plain.apply(one, rng) == (20, 120, 60)).all() for _ in range(200))


def test_each_number_changes_the_key():
    policy = distort.named("crop_color_transform", SPEC)
    other = {
        "name": "crop",
        "spec": WIDE,
        "enlarged": (1.0, 1.5),
        "flip": False,
        "fill": "wrap",
        "cells": distort.GRID[:1],
    }
    keys = {replace(policy, **{field.name: other.get(field.name, 0.01)}).key for field in fields(policy)}
    assert len(keys | {policy.key}) == len(fields(policy)) + 1
    assert distort.named("crop_color_transform", SPEC).key == policy.key


# ---- how far the numbers go ------------------------------------------------------------------


def test_the_flags_of_retrain_mean_what_they_meant(run):
    policy = distort.policy(run(size=48, **FLAGS))
    draws = _draws(policy)
    assert policy.fitted.width == 64  # 48 x 1.1 x 1.2, rounded up
    _goes_from_to([1 / change.placement.part for change in draws], 1.1, 1.1 * 1.2)
    _goes_from_to([change.placement.at[0] for change in draws], 0, 1)
    _goes_from_to([change.placement.at[1] for change in draws], 0, 1)
    _goes_from_to([change.brightness for change in draws], 0.7, 1.3)
    assert 0.45 < np.mean([change.placement.mirrored for change in draws]) < 0.55


def test_brightness_multiplies_and_stops_at_white():
    pixels = np.full((48, 48, 3), (0, 100, 220), np.uint8)
    assert distort.changed(pixels, SPEC, distort.Change(brightness=1.25))[0, 0].tolist() == [0, 125, 255]


def test_the_colours_of_sagemaker_go_as_far_as_it_says():
    draws = _draws(distort.named("crop_color", SPEC))
    _goes_from_to([change.hue for change in draws], -36, 36)
    _goes_from_to([change.saturation for change in draws], -50, 50)
    _goes_from_to([change.lightness for change in draws], -50, 50)
    assert {change.placement.angle for change in draws} == {0}


def test_the_transforms_of_sagemaker_go_as_far_as_it_says():
    places = [change.placement for change in _draws(distort.named("crop_color_transform", SPEC))]
    ratios = [place.stretch[0] / place.stretch[1] for place in places]
    _goes_from_to([place.angle for place in places], -10, 10)
    _goes_from_to(ratios, 0.75, 1.25)
    _goes_from_to([place.shear / ratio for place, ratio in zip(places, ratios, strict=True)], -0.1, 0.1)


# ---- the grid --------------------------------------------------------------------------------


def test_the_grid_has_288_cells_and_a_long_run_draws_them_all(monkeypatch):
    drawn = []
    monkeypatch.setattr(distort, "_of_cell", lambda cell, rng: drawn.append(cell) or distort.Placement())
    _draws(distort.named("grid", SPEC), 4000)
    assert len(distort.GRID) == len(set(distort.GRID)) == 288
    assert set(drawn) == set(distort.GRID)


def test_a_cell_draws_as_far_as_its_generator_did():
    cell = distort.Cell(rotation=60.0, shift=0.3, zoom=0.9, flip="upside_down", fill="wrap")
    places = [change.placement for change in _draws(replace(distort.named("grid", SPEC), cells=(cell,)))]
    _goes_from_to([place.angle for place in places], -60, 60)
    for axis in (0, 1):
        _goes_from_to([place.shift[axis] for place in places], -0.3, 0.3)
        _goes_from_to([place.stretch[axis] for place in places], 1 - 0.9, 1 + 0.9)
    _goes_from_to([np.rad2deg(np.arctan(place.shear)) for place in places], -0.3, 0.3)
    assert 0.45 < np.mean([place.upside_down for place in places]) < 0.55
    assert not any(place.mirrored for place in places)
    assert {place.fill for place in places} == {"wrap"}


# ---- from a run ------------------------------------------------------------------------------


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_of_retrain_asks_for_it(flag, run):
    policy = distort.policy(run(**{flag: FLAGS[flag]}))
    assert policy.name == "retrain"
    assert policy.key != distort.policy(run(augment="retrain")).key
    assert policy == distort.policy(run(augment="retrain", **{flag: FLAGS[flag]}))


@pytest.mark.parametrize("name", get_args(Augmentation))
def test_a_run_without_flags_gets_what_it_names(name, run):
    assert distort.policy(run(augment=name, size=48)) == distort.named(name, SPEC)


def test_flags_beside_another_policy_are_refused(run):
    with pytest.raises(DataError, match="belong to --augment retrain, not crop"):
        distort.policy(run(augment="crop", random_scale=10))


@pytest.mark.parametrize("percent", [-1, 101, float("nan")])
def test_a_percentage_is_one(percent, run):
    with pytest.raises(DataError, match="--random_brightness is .* from 0 to 100 is wanted"):
        distort.policy(run(random_brightness=percent))


# ---- the sheet -------------------------------------------------------------------------------


def test_the_sheet_shows_a_photo_in_front_of_its_samples():
    policy = distort.named("crop", SPEC)
    pictures = [_picture(policy, seed) for seed in range(3)]
    drawn = np.asarray(distort.sheet(policy, pictures, np.random.default_rng(0)))
    assert drawn.shape == (3 * 52 + 4, 8 * 52 + 8, 3)
    for row, pixels in enumerate(pictures):
        assert (drawn[4 + 52 * row : 52 + 52 * row, 4:52] == policy.plain(pixels)).all()


def test_the_sheet_is_small_however_large_the_input():
    policy = distort.named("grid", SPEC.model_copy(update={"height": 299, "width": 299}))
    assert distort.sheet(policy, [_picture(policy)], np.random.default_rng(0)).size == (8 * 100 + 8, 104)
