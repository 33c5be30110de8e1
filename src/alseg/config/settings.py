"""The settings of a run: each stands here once, with all that is known of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cache
from typing import Any, Literal, get_type_hints

from alseg.config.setting import Group, Setting, Tag, setting
from alseg.config.size import Size


@dataclass(frozen=True)
class DataSettings:
    """Where images and labels come from, and how they reach the network."""

    source: str = setting(
        "scenes:sim",
        "labelled images to learn from, as ADAPTER:WHERE, such as gtav:/data/gtav",
        of={"first", "moved", "domain", "opens", "check-data"},
    )
    source_options: dict[str, Any] = setting(
        {}, "options of the source's adapter", of={"domain", "opens", "check-data"}
    )
    target: str = setting(
        "scenes:fog",
        "images to label and to segment, as ADAPTER:WHERE, such as cityscapes:/data/cityscapes",
        of={"first", "moved", "domain", "opens", "check-data", "evaluate"},
    )
    target_options: dict[str, Any] = setting(
        {}, "options of the target's adapter", of={"domain", "opens", "check-data", "evaluate"}
    )
    label_space: str | None = setting(
        None, "classes to learn, by name; null: those of the target", of={"opens", "check-data"}
    )
    report_split: Literal["train", "val", "test"] | None = setting(
        None,
        "target split that the final mIoU is measured on; null: test where it has labels, else val",
        of={"opens", "evaluation"},
    )
    size: Size | None = setting(
        None, "images are resized to this for training; null: their own size"
    )
    source_size: Size | None = setting(
        None, "source images are resized to this for training; null: as size"
    )
    crop: Size | None = setting(
        None, "random crop of the resized training image; null: the whole image"
    )
    random_scale: list[float] | None = setting(
        None,
        "training images at size are scaled by a random factor, uniform in this range, such as "
        "[0.5, 2.0], before they are cut; null: not",
    )
    eval_size: Size | None = setting(
        None,
        "images are resized to this for scoring and evaluation; null: as size",
        of={"evaluation"},
    )
    augmentation: Literal["none", "light", "strong"] = setting(
        "light", "how much training images are changed at random"
    )
    workers: int = setting(
        1,
        "processes that load images, for each domain",
        of={"machine", "resume", "after start", "uncompared", "query", "evaluate"},
        at_least=0,
    )


@dataclass(frozen=True)
class ModelSettings:
    """The network and what it starts from."""

    architecture: str = setting(
        "deeplabv3plus", "decoder, by its name in segmentation-models-pytorch"
    )
    encoder: str = setting("mobilenet_v2", "encoder, by its name in segmentation-models-pytorch")
    encoder_weights: str | None = setting(
        None,
        "imagenet, none or the path of a state dict; null: imagenet, or none on the embedded "
        "scenes where ImageNet weights cannot be had",
    )
    freeze_encoder: bool = setting(
        False, "leave the encoder as it starts, the statistics of its batch norm too"
    )
    head: Literal["linear", "hyperbolic"] | None = setting(
        None,
        "classifier of the network; null: hyperbolic if the strategy needs the hyperbolic "
        "radius, else linear",
        of={"head", "variant"},
    )
    hyperbolic_dim: int = setting(
        64, "channels of the hyperbolic embedding", of={"head", "variant"}, at_least=1
    )
    curvature: float = setting(
        1.0, "c > 0 of the Poincaré ball of radius 1/sqrt(c)", of={"head", "variant"}, above=0
    )
    reweighting: Literal["rms", "published", "none"] = setting(
        "rms", "how the hyperbolic head weighs its channels", of={"head", "variant"}
    )
    # Each seed has a start of its own: whether it is the same for all is seen by its figure.
    init_from: str | None = setting(
        None,
        "checkpoint whose weights training starts from, such as a source_only run's",
        of={"opens", "after start", "uncompared"},
    )


@dataclass(frozen=True)
class TrainingSettings:
    """The schedule, the loss and the machine."""

    protocol: Literal[
        "source_only", "source_target", "source_free", "target_only", "fully_supervised"
    ] = setting(
        "source_target",
        "which domains and labels are trained on",
        of={"opens", "after start", "compared"},
        in_matrix="give `protocols: [source_only]` in the matrix file",
    )
    steps: int = setting(600, "optimiser steps under the protocol", of={"after start"}, at_least=1)
    warm_start_steps: int = setting(
        400,
        "optimiser steps on the source alone before those; not taken with init_from",
        of={"opens"},
        at_least=0,
    )
    # Batch norm over an image pooled to one pixel needs a second image.
    batch_size: int = setting(8, "images of each domain per step and process", at_least=2)
    optimizer: Literal["adam", "sgd"] = setting(
        "adam", "optimiser, in its Riemannian form for the hyperbolic head"
    )
    learning_rate: float = setting(1e-4, "highest learning rate of the encoder", above=0)
    head_lr_factor: float = setting(
        10.0, "decoder and head learn at learning_rate times this", above=0
    )
    weight_decay: float = setting(0.0, "L2 penalty on the weights", at_least=0)
    momentum: float = setting(0.9, "momentum of sgd", at_least=0, below=1)
    warmup_steps: int = setting(0, "steps in which the learning rate rises from near 0", at_least=0)
    poly_power: float = setting(
        0.9, "p in the decay (1 - step/steps)^p of the learning rate", at_least=0
    )
    decay_steps: int | None = setting(
        None,
        "the step at which the learning rate would reach 0; null: the last",
        of={"after start"},
        at_least=1,
    )
    source_weight: float = setting(1.0, "weight of the cross-entropy on source labels", at_least=0)
    target_weight: float = setting(
        1.0,
        "weight of the cross-entropy on asked-for target pixels",
        of={"variant", "after start"},
        at_least=0,
    )
    consistency_weight: float = setting(
        0.1,
        "weight of the local consistency on the source",
        of={"variant", "after start"},
        at_least=0,
    )
    negative_weight: float = setting(
        1.0,
        "weight of negative learning on the target",
        of={"variant", "after start"},
        at_least=0,
    )
    negative_threshold: float = setting(
        0.05,
        "negative learning takes a class of a lower probability to be wrong",
        of={"variant", "after start"},
        at_least=0,
        below=1,
    )
    unlabelled: Literal["none", "pseudo-labels", "u2pl"] = setting(
        "none",
        "what target pixels teach that nobody was asked about: pseudo-labels: the classes that a "
        "teacher is sure of; u2pl: also, by contrast, which classes the others are not",
        of={"variant", "after start"},
    )
    mix: Literal["none", "cutmix", "classmix"] = setting(
        "cutmix",
        "how the images are mixed that pseudo-labels are learnt on",
        of={"variant", "after start"},
    )
    teacher_decay: float = setting(
        0.99,
        "largest decay of the moving average that the teacher is",
        of={"variant", "after start"},
        at_least=0,
        below=1,
    )
    trust: float = setting(
        0.0,
        "a class counts as a pseudo-label once the teacher is right on this share of the answered "
        "pixels that it gives it to; 0: from the first step",
        of={"variant", "after start"},
        at_least=0,
    )
    evaluate: Literal["teacher", "student"] = setting(
        "teacher",
        "which network is evaluated, predicts and scores the pool where there is a teacher",
        of={"variant", "after start"},
    )
    pseudo_weight: float = setting(
        1.0, "weight of the loss of pseudo-labels", of={"variant", "after start"}, at_least=0
    )
    pseudo_unreliable: float = setting(
        20.0,
        "per cent of the pixels that give no pseudo-label at the start; falls to 0 at the end",
        of={"variant", "after start"},
        at_least=0,
    )
    pseudo_confidence: float = setting(
        0.0,
        "instead of pseudo_unreliable, the least probability of a pseudo-label; 0: not used",
        of={"variant", "after start"},
        at_least=0,
        below=1,
    )
    contrast_weight: float = setting(
        0.1, "weight of the contrastive loss", of={"variant", "after start"}, at_least=0
    )
    contrast_unreliable: float = setting(
        20.0,
        "per cent of the pixels that are negative keys at the start, and as many that are "
        "anchors; falls to 0 at the end",
        of={"variant", "after start"},
        at_least=0,
    )
    contrast_queue: int = setting(
        4096, "negative keys kept of each class", of={"variant", "after start"}, at_least=1
    )
    validate_every: int | None = setting(
        None, "steps between validations; null: none", of={"after start"}, at_least=1
    )
    flip: bool = setting(
        True, "evaluation averages over the image and its mirror image", of={"evaluation"}
    )
    seed: int = setting(
        0,
        "seed of everything random",
        of={"compared", "query"},
        at_least=0,
        in_matrix="give `seeds: [0, 1, 2]` in the matrix file",
    )
    accelerator: str = setting(
        "auto", "kind of device, by Lightning's name: auto, cpu, gpu, mps", of={"machine", "resume"}
    )
    devices: int | str = setting(
        1, "devices to use on each machine: a number or auto", of={"machine", "resume"}
    )
    num_nodes: int = setting(1, "machines to use", of={"machine", "resume"}, at_least=1)
    precision: Literal["32-true", "16-mixed", "bf16-mixed"] = setting(
        "32-true", "floating-point precision of the network"
    )


@dataclass(frozen=True)
class ActiveSettings:
    """Which labels are asked for, how many and when."""

    strategy: str = setting(
        "halo",
        "how regions are ranked, the best are labelled first; `alseg strategies` lists the names",
        of={"first", "compared", "query"},
        in_matrix="give `strategies: [random, ripu]` in the matrix file",
    )
    strategy_options: dict[str, Any] = setting(
        {},
        "options of the strategy; `alseg strategies NAME` lists them",
        of={"compared", "query"},
        in_matrix="give `strategies: [{strategy: ripu, strategy_options: {...}}]` in the "
        "matrix file",
    )
    budget: str | float = setting(
        "0.01",
        "labels to ask for in the whole run: a share of the target's pixels (0.01 or 1%), a "
        'number for each image ("40 regions"), whole images ("20 images") or answers in all '
        '("500 clicks")',
        of={"first", "compared", "query"},
        in_matrix="give `budgets: [0.01]` in the matrix file",
    )
    annotator: Literal["oracle", "manual"] = setting(
        "oracle",
        "who answers: oracle looks answers up in labels that the target has already; manual "
        "writes the queries of a round for people and ends, until --resume",
        of={"first", "opens"},
    )
    region: Literal["windows", "image"] = setting(
        "windows",
        "what is labelled at once: windows: square windows of pixels; image: whole images, which "
        "people label with a labelling tool",
        of={"query"},
    )
    mixed: Literal["quadrants", "pixels", "drop"] = setting(
        "quadrants",
        "what happens to a window that people answer as mixed: its quadrants or pixels are "
        "asked for, once, or it becomes void",
        of={"query"},
    )
    scope: Literal["image", "pool"] = setting(
        "image",
        "image: the same share of every image; pool: the best regions wherever they are",
        of={"query"},
    )
    clipped: Literal["last", "any"] = setting(
        "last",
        "windows that the border of an image clips: last: asked for once no whole one is "
        "left; any: by their scores, as published",
        of={"query"},
    )
    rounds: int = setting(
        5, "rounds in which the budget is spent, in equal parts", of={"first"}, at_least=1
    )
    round_steps: list[int] | None = setting(
        None,
        "steps before which the rounds take place, instead of --rounds; null: evenly spaced from 0",
    )
    radius: int | None = setting(
        None,
        "window radius k: a region is (2k+1) x (2k+1) pixels; null: 1, or 3 where people answer",
        of={"query"},
        at_least=0,
    )
    exclusion_radius: int | None = setting(
        None,
        "window radius around a pick in which none is made again; null: the strategy's own, 5 "
        "for halo and 2k for most",
        of={"query"},
        at_least=0,
    )


@dataclass(frozen=True)
class OutputSettings:
    """What is written, and where."""

    out: str | None = setting(
        None,
        "run folder; null: runs/NAME-DATE-TIME",
        of={"first"},
        in_matrix="give the folder of all the runs to `alseg sweep`, as --out",
    )
    name: str | None = setting(
        None,
        "name of the run; null: SOURCE-TARGET-STRATEGY, or the protocol for the strategy",
        in_matrix="give `strategies: [{name: mine, strategy: ripu}]` in the matrix file",
    )
    resume: str | None = setting(
        None,
        "run folder to continue, with the settings stored in it",
        of={"first"},
        in_matrix="give the same `alseg sweep` again, which goes on with all that was begun",
    )
    logger: Literal["csv", "wandb"] = setting(
        "csv", "where figures are logged, beside the CSV files of every run", of={"logging"}
    )
    wandb_project: str | None = setting(
        None, "project on Weights & Biases; null: alseg", of={"logging"}
    )
    experiment: str | None = setting(
        None, "experiment that the run belongs to: its group on Weights & Biases"
    )
    pictures: int = setting(
        4, "images of which every round saves pictures", of={"logging"}, at_least=0
    )
    progress: bool = setting(
        True, "show progress and the time left", of={"machine", "resume", "query", "evaluate"}
    )


GROUPS: Mapping[Group, type] = {
    "active": ActiveSettings,
    "data": DataSettings,
    "model": ModelSettings,
    "training": TrainingSettings,
    "output": OutputSettings,
}
"""The groups of settings, in the order in which they are listed."""


@cache
def all_settings() -> tuple[Setting, ...]:
    """Return every setting, in the order of the groups."""
    found = []
    for group, settings in GROUPS.items():
        defaults, types = settings(), get_type_hints(settings)
        for entry in fields(settings):
            default = getattr(defaults, entry.name)
            found.append(Setting(entry.name, group, types[entry.name], default, **entry.metadata))
    return tuple(found)


def names_of(*what: Tag | Group) -> tuple[str, ...]:
    """Return the names of the settings that belong to any of these, in the order of the groups."""
    return tuple(
        entry.name for entry in all_settings() if entry.group in what or entry.of & set(what)
    )


MAY_CHANGE = frozenset(names_of("output", "resume"))
"""The settings in which a run that has been started may differ from what is asked for now."""

MATRIX_MAY_DIFFER = frozenset(names_of("active", "output", "variant", "compared"))
"""What runs of one matrix may differ in."""
