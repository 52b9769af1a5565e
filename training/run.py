"""The frozen description of one training run: every knob and its default, once, for the command line, the tuner and the launcher."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from bundle.image import Preprocess

Backbone = Literal["mobilenet", "mobilenet_v2", "inception_v3", "resnet50", "efficientnet_v2_b0"]
Resize = Literal["squash", "crop", "pad"]
HeadKind = Literal["linear", "mlp", "retrain"]
Augmentation = Literal["none", "retrain", "crop", "crop_color", "crop_color_transform", "grid"]
Optimizer = Literal["sgd", "nag", "adam", "rmsprop"]
Schedule = Literal["constant", "step", "linear", "cosine"]

ALL_BLOCKS = -1
# Augmented copies of a photo for the head, where somebody asks for augmentation and says no number. Four took clothing8 from 74 to 77 %.
COPIES = 4


@dataclass(frozen=True, kw_only=True)
class Run:
    # ---- data
    data: Path  # a folder, a list file, a .rec; s3://... is fetched before
    validation: Path | None = None  # None: a fifth of `data`, chosen by content
    test: Path | None = None  # judges once, at the end; nothing is chosen by it
    images: Path | None = None  # where a list's relative names begin; None: beside the list
    labels: Path | None = (
        None  # their names in output order, one a line; None: labels.txt beside a list, else as the data says
    )
    multi_label: bool | None = None  # None: as the data says
    # ---- network
    name: str
    out: Path
    backbone: Backbone = "mobilenet"
    alpha: float = 1.0  # width of a MobileNet; 1.0 elsewhere
    size: int = 224  # pixels, both sides
    resize: Resize = "crop"
    weights: str = "imagenet"  # imagenet, none, or a file
    # ---- head, on features of the frozen backbone; with weights none there is no such stage
    head: HeadKind | Literal["all"] = "linear"  # all: each is trained, validation chooses
    # ---- augmentation
    augment: Augmentation = "none"
    copies: int = 0  # augmented copies of a photo in the feature bank, beside the photo itself
    flip_left_right: bool = False  # the next four are of `retrain`, as its flags were called
    random_crop: float = 0.0  # percent
    random_scale: float = 0.0  # percent
    random_brightness: float = 0.0  # percent
    # ---- fine-tuning: Keras' layers on pixels, after the head or, with weights none, from the start
    fine_tune: int = 0  # blocks from the end that learn; 0: none, ALL_BLOCKS: all
    epochs: int = 30
    batch_size: int = 32
    optimizer: Optimizer = "adam"
    learning_rate: float | None = None  # the highest; None: 1e-4 for fine-tuning, 3e-3 from the start
    schedule: Schedule = "cosine"
    warmup: float = 0.05  # share of the steps until the rate is at its highest
    lr_scheduler_factor: float = 0.1  # of `step`
    lr_scheduler_step: tuple[int, ...] = ()  # of `step`: after these epochs
    momentum: float = 0.9  # sgd, nag
    weight_decay: float = 0.0001  # sgd, nag: a step takes the rate times this off each kernel
    beta_1: float = 0.9  # adam
    beta_2: float = 0.999
    eps: float = 1e-7  # adam, rmsprop
    gamma: float = 0.9  # rmsprop
    dropout: float = 0.2  # before the last layer
    mixed_precision: bool = False  # float16 where a GPU computes
    early_stopping: bool = False
    early_stopping_min_epochs: int = 10
    early_stopping_patience: int = 5
    early_stopping_tolerance: float = 0.0
    # ---- loss and answer
    class_weights: bool = False  # rare classes count as much as frequent ones
    weighted_loss: bool = False  # multi-label: present and absent count alike for each label
    label_smoothing: float = 0.0
    top_k: int = 5
    calibrate: bool = True  # temperature by validation, folded into the last layer
    # ---- what comes of it
    assert_accuracy_at_least: float | None = None  # mAP where there are many labels; below it nothing is written
    tensorboard: Path | None = None
    seed: int = 0
    golden: Path | None = None  # a folder of pictures for the golden check; None: some of the data
    photos_in_bundle: bool = True  # False: golden pictures are drawn, no photo leaves the data
    cache: Path
    cache_bytes: int
    command: str = ""  # for the report

    @property
    def preprocess(self) -> Preprocess:
        return Preprocess(height=self.size, width=self.size, resize=self.resize, resample="bilinear", color="rgb")

    @property
    def key(self) -> str:
        """The same for runs that learn the same way from the same data; a checkpoint's name, with the data's digest."""
        elsewhere = {
            *("name", "out", "golden", "photos_in_bundle", "cache", "cache_bytes", "command", "tensorboard"),
            *("data", "validation", "test", "images", "labels", "assert_accuracy_at_least", "top_k"),
        }
        knobs = {name: str(value) for name, value in asdict(self).items() if name not in elsewhere}
        return hashlib.sha256(json.dumps(knobs, sort_keys=True).encode()).hexdigest()[:16]


def name_of(folder: Path) -> str:
    """A bundle's name from its data: the folder's, or its parent's where that is called train."""
    resolved = folder.resolve()
    chosen = resolved.parent.name if resolved.name.lower() in ("train", "training") else resolved.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", chosen).strip("-._")[:64] or "pictures"


def versions() -> dict[str, str]:
    """Of the libraries that a model comes from."""
    return {name: version(name) for name in ("imago", "keras", "onnx", "tf2onnx", "pillow", "numpy")}
