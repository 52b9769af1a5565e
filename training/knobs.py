"""The options of `imago train classifier`: one for each knob of a Run."""

from pathlib import Path
from typing import get_args

import click

from training.options import DEFAULTS, Blocks, Epochs, Knob, Source, a_path, above_nil, below_one, percent
from training.run import COPIES, Augmentation, Backbone, HeadKind, Optimizer, Resize, Schedule
from training.xml_cli import bundle_name


def network(heading: str) -> list[Knob]:
    """What every network has."""
    return [
        Knob(heading, "backbone", type=click.Choice(get_args(Backbone)), help="The network that sees."),
        Knob(heading, "alpha", type=click.FloatRange(0.25, 1.4), metavar="X", help="Width of a MobileNet."),
        Knob(
            heading,
            "size",
            default=None,
            type=click.IntRange(32, 1024),
            metavar="PIXELS",
            help="Of the input's sides.  [default: the backbone's]",
        ),
        Knob(heading, "resize", type=click.Choice(get_args(Resize)), help="How a picture gets to the input's shape."),
        Knob(
            heading,
            "weights",
            metavar="imagenet|FILE|none",
            help="imagenet: Keras fetches them; none: all layers are trained from the start.",
        ),
    ]


def outcome(heading: str) -> list[Knob]:
    """What every training command writes."""
    return [
        Knob(heading, "name", callback=bundle_name, metavar="NAME", help="The bundle's.  [default: the data folder's]"),
        Knob(heading, "out", type=a_path, metavar="DIR", default=Path("bundles"), help="Where the bundle goes."),
        Knob(
            heading,
            "golden",
            type=a_path,
            metavar="DIR",
            help="Pictures of the golden check.  [default: some of the data]",
        ),
        Knob(heading, "as_json", "--json", is_flag=True, default=False, help="Print the report as JSON."),
    ]


DATA = [
    Knob("Data", "train_dir", type=Source(), metavar="DIR", also=("--image_dir",), help="The same as DATA."),
    Knob(
        "Data",
        "validation",
        type=Source(),
        metavar="DATA",
        also=("--val_dir",),
        help="Judges while it learns.  [default: a fifth of DATA, by content]",
    ),
    Knob("Data", "test", type=Source(), metavar="DATA", help="Judges once, at the end; nothing is chosen by it."),
    Knob(
        "Data",
        "images",
        type=a_path,
        metavar="DIR",
        help="Where the relative names in a list begin.  [default: beside the list]",
    ),
    Knob(
        "Data",
        "labels",
        type=a_path,
        metavar="FILE",
        help="The labels in order of their numbers, one a line.  [default: labels.txt beside a list]",
    ),
    Knob(
        "Data",
        "multi_label",
        "--multi-label/--single-label",
        help="May a photo have several labels?  [default: as the data says]",
    ),
]

HEAD = [
    Knob(
        "Head",
        "head",
        "--heads",
        type=click.Choice(["all", *get_args(HeadKind)]),
        help="What is fitted on the network's features. linear: L-BFGS; mlp: two layers; retrain: gradient descent as "
        "retrain.py did it; all: each of them, and validation chooses.",
    ),
]

AUGMENTATION = [
    Knob(
        "Augmentation",
        "augment",
        type=click.Choice(get_args(Augmentation)),
        also=("--augmentation_type",),
        help="retrain: the four below; crop...: SageMaker's; grid: 288 ways to turn, shift, zoom, flip and fill.",
    ),
    Knob(
        "Augmentation",
        "copies",
        type=click.IntRange(0, 1000),
        metavar="N",
        show_default=False,
        help="Augmented copies of a photo that the head learns from, beside the photo.  "
        f"[default: {COPIES} with --augment, if nothing is fine-tuned; else {DEFAULTS['copies']}]",
    ),
    Knob("Augmentation", "flip_left_right", is_flag=True, help="Half of the copies are mirrored."),
    Knob("Augmentation", "random_crop", type=percent, metavar="PERCENT", help="Cut off at the sides, at most."),
    Knob("Augmentation", "random_scale", type=percent, metavar="PERCENT", help="Larger, at most."),
    Knob("Augmentation", "random_brightness", type=percent, metavar="PERCENT", help="Lighter or darker, at most."),
]

FINE_TUNING = [
    Knob(
        "Fine-tuning",
        "fine_tune",
        type=Blocks(),
        metavar="N|all|none",
        show_default=False,
        help="Blocks from the network's end that learn after the head.  [default: none]",
    ),
    Knob("Fine-tuning", "epochs", type=click.IntRange(1), metavar="N", help="Times through the photos, at most."),
    Knob(
        "Fine-tuning",
        "batch_size",
        type=click.IntRange(1),
        metavar="N",
        also=("--mini_batch_size", "--train_batch_size"),
        help="Photos a step.",
    ),
    Knob("Fine-tuning", "optimizer", type=click.Choice(get_args(Optimizer)), help="What makes the steps."),
    Knob(
        "Fine-tuning",
        "learning_rate",
        type=above_nil,
        metavar="X",
        help="The highest.  [default: 0.0001 to fine-tune, 0.003 with --weights none]",
    ),
    Knob("Fine-tuning", "schedule", type=click.Choice(get_args(Schedule)), help="How the rate falls."),
    Knob("Fine-tuning", "warmup", type=below_one, metavar="SHARE", help="Of the steps, until the rate is highest."),
    Knob(
        "Fine-tuning",
        "lr_scheduler_step",
        type=Epochs(),
        metavar="10,20",
        show_default=False,
        help="With --schedule step: the epochs after which the rate falls.",
    ),
    Knob(
        "Fine-tuning",
        "lr_scheduler_factor",
        type=click.FloatRange(0, 1, min_open=True),
        metavar="X",
        help="Then the rate is multiplied by it.",
    ),
    Knob("Fine-tuning", "momentum", type=below_one, metavar="X", help="Of sgd and nag."),
    Knob(
        "Fine-tuning",
        "weight_decay",
        type=click.FloatRange(0),
        metavar="X",
        help="Of sgd and nag: pulls the weights to nil.",
    ),
    Knob("Fine-tuning", "beta_1", type=below_one, metavar="X", help="Of adam."),
    Knob("Fine-tuning", "beta_2", type=below_one, metavar="X", help="Of adam."),
    Knob("Fine-tuning", "eps", type=above_nil, metavar="X", help="Of adam and rmsprop."),
    Knob("Fine-tuning", "gamma", type=below_one, metavar="X", help="Of rmsprop."),
    Knob("Fine-tuning", "dropout", type=click.FloatRange(0, 0.9), metavar="SHARE", help="Before the last layer."),
    Knob(
        "Fine-tuning",
        "mixed_precision",
        is_flag=True,
        help="16-bit numbers, where a GPU computes.",
    ),
    Knob("Fine-tuning", "early_stopping", is_flag=True, help="End when validation gets no better."),
    Knob("Fine-tuning", "early_stopping_min_epochs", type=click.IntRange(1), metavar="N", help="Never before."),
    Knob("Fine-tuning", "early_stopping_patience", type=click.IntRange(1), metavar="N", help="Epochs to wait."),
    Knob("Fine-tuning", "early_stopping_tolerance", type=click.FloatRange(0), metavar="X", help="Less is not better."),
]

LOSS = [
    Knob("Loss and answer", "class_weights", is_flag=True, help="Rare classes count as much as frequent ones."),
    Knob(
        "Loss and answer",
        "weighted_loss",
        is_flag=True,
        also=("--use_weighted_loss",),
        help="Multi-label: a label's presence and absence count alike.",
    ),
    Knob(
        "Loss and answer",
        "label_smoothing",
        type=below_one,
        metavar="X",
        help="Share of the truth for the other labels.",
    ),
    Knob(
        "Loss and answer",
        "top_k",
        type=click.IntRange(1, 1000),
        metavar="K",
        help="Also how often the truth is among the best K.",
    ),
    Knob(
        "Loss and answer",
        "calibrate",
        "--calibrate/--no-calibrate",
        help="Probabilities that mean what they say, by a temperature chosen on validation.",
    ),
]

OUTCOME = [
    *outcome("What comes of it"),
    Knob(
        "What comes of it",
        "assert_accuracy_at_least",
        type=click.FloatRange(0, 1),
        metavar="X",
        help="Below it (mAP, where there are many labels; of --test where given) no bundle is written and the exit status is 3.",
    ),
    Knob("What comes of it", "tensorboard", type=a_path, metavar="DIR", also=("--summaries_dir",), help="Logs for it."),
    Knob("What comes of it", "seed", type=int, metavar="N", help="The same seed and data give the same bundle."),
    Knob(
        "What comes of it",
        "no_photos",
        is_flag=True,
        default=False,
        help="Golden pictures are drawn; no photo of yours goes into the bundle.",
    ),
    Knob(
        "What comes of it",
        "cache",
        type=a_path,
        metavar="DIR",
        help="Where decoded pictures, features and checkpoints are kept.  [default: ~/.cache/imago]",
    ),
]

CLASSIFIER = [*DATA, *network("Network"), *HEAD, *AUGMENTATION, *FINE_TUNING, *LOSS, *OUTCOME]

LABELS = Knob(
    "Network",
    "labels",
    type=a_path,
    metavar="FILE",
    help="The 1,000 labels, one a line.  [default: imagenet_labels.txt beside the weights, else fetched]",
)
IMAGENET = [*network("Network"), LABELS, *outcome("What comes of it")]
