"""The settings of a run, a group at a time: their types, defaults and meanings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from alseg.errors import ConfigError

SIZE_TEXT = re.compile(r"0*([1-9][0-9]{0,5})x0*([1-9][0-9]{0,5})")
LONGEST_SIZE = 40
Size = tuple[int, int]
"""Height and width in pixels; written ``HEIGHTxWIDTH``, such as ``180x240``."""


@dataclass(frozen=True)
class DataSettings:
    """Where images and labels come from, and how they reach the network."""

    source: Annotated[
        str, "labelled images to learn from, as ADAPTER:WHERE, such as gtav:/data/gtav"
    ] = "scenes:sim"
    source_options: Annotated[dict[str, Any], "options of the source's adapter"] = field(
        default_factory=dict
    )
    target: Annotated[
        str, "images to label and to segment, as ADAPTER:WHERE, such as cityscapes:/data/cityscapes"
    ] = "scenes:fog"
    target_options: Annotated[dict[str, Any], "options of the target's adapter"] = field(
        default_factory=dict
    )
    label_space: Annotated[str | None, "classes to learn, by name; null: those of the target"] = (
        None
    )
    report_split: Annotated[
        Literal["train", "val", "test"] | None,
        "target split that the final mIoU is measured on; null: test where it has labels, else val",
    ] = None
    size: Annotated[
        Size | None, "images are resized to this for training; null: their own size"
    ] = None
    source_size: Annotated[
        Size | None, "source images are resized to this for training; null: as size"
    ] = None
    crop: Annotated[
        Size | None, "random crop of the resized training image; null: the whole image"
    ] = None
    eval_size: Annotated[
        Size | None, "images are resized to this for scoring and evaluation; null: as size"
    ] = None
    augmentation: Annotated[
        Literal["none", "light", "strong"], "how much training images are changed at random"
    ] = "light"
    workers: Annotated[int, "processes that load images, for each domain"] = 1


@dataclass(frozen=True)
class ModelSettings:
    """The network and what it starts from."""

    architecture: Annotated[str, "decoder, by its name in segmentation-models-pytorch"] = (
        "deeplabv3plus"
    )
    encoder: Annotated[str, "encoder, by its name in segmentation-models-pytorch"] = "mobilenet_v2"
    encoder_weights: Annotated[
        str | None,
        "imagenet, none or the path of a state dict; null: imagenet, "
        "or none on the embedded scenes where ImageNet weights cannot be had",
    ] = None
    head: Annotated[
        Literal["linear", "hyperbolic"] | None,
        "classifier of the network; null: hyperbolic if the strategy needs the hyperbolic radius, "
        "else linear",
    ] = None
    hyperbolic_dim: Annotated[int, "channels of the hyperbolic embedding"] = 64
    curvature: Annotated[float, "c > 0 of the Poincaré ball of radius 1/sqrt(c)"] = 1.0
    reweighting: Annotated[
        Literal["rms", "published", "none"], "how the hyperbolic head weighs its channels"
    ] = "rms"
    init_from: Annotated[
        str | None, "checkpoint whose weights training starts from, such as a source_only run's"
    ] = None


@dataclass(frozen=True)
class TrainingSettings:
    """The schedule, the loss and the machine."""

    protocol: Annotated[
        Literal["source_only", "source_target", "source_free", "target_only", "fully_supervised"],
        "which domains and labels are trained on",
    ] = "source_target"
    steps: Annotated[int, "optimiser steps under the protocol"] = 600
    warm_start_steps: Annotated[
        int, "optimiser steps on the source alone before those; not taken with init_from"
    ] = 400
    batch_size: Annotated[int, "images of each domain per step and process"] = 8
    optimizer: Annotated[
        Literal["adam", "sgd"], "optimiser, in its Riemannian form for the hyperbolic head"
    ] = "adam"
    learning_rate: Annotated[float, "highest learning rate of the encoder"] = 1e-4
    head_lr_factor: Annotated[float, "decoder and head learn at learning_rate times this"] = 10.0
    weight_decay: Annotated[float, "L2 penalty on the weights"] = 0.0
    momentum: Annotated[float, "momentum of sgd"] = 0.9
    warmup_steps: Annotated[int, "steps in which the learning rate rises from near 0"] = 0
    poly_power: Annotated[float, "p in the decay (1 - step/steps)^p of the learning rate"] = 0.9
    decay_steps: Annotated[
        int | None, "the step at which the learning rate would reach 0; null: the last"
    ] = None
    source_weight: Annotated[float, "weight of the cross-entropy on source labels"] = 1.0
    target_weight: Annotated[float, "weight of the cross-entropy on asked-for target pixels"] = 1.0
    consistency_weight: Annotated[float, "weight of the local consistency on the source"] = 0.1
    negative_weight: Annotated[float, "weight of negative learning on the target"] = 1.0
    negative_threshold: Annotated[
        float, "negative learning takes a class of a lower probability to be wrong"
    ] = 0.05
    validate_every: Annotated[int | None, "steps between validations; null: none"] = None
    flip: Annotated[bool, "evaluation averages over the image and its mirror image"] = True
    seed: Annotated[int, "seed of everything random"] = 0
    accelerator: Annotated[str, "kind of device, by Lightning's name: auto, cpu, gpu, mps"] = "auto"
    devices: Annotated[int | str, "devices to use on each machine: a number or auto"] = 1
    num_nodes: Annotated[int, "machines to use"] = 1
    precision: Annotated[
        Literal["32-true", "16-mixed", "bf16-mixed"], "floating-point precision of the network"
    ] = "32-true"


@dataclass(frozen=True)
class ActiveSettings:
    """Which labels are asked for, how many and when."""

    strategy: Annotated[
        str,
        "how regions are ranked, the best are labelled first; `alseg strategies` lists the names",
    ] = "halo"
    strategy_options: Annotated[
        dict[str, Any], "options of the strategy; `alseg strategies NAME` lists them"
    ] = field(default_factory=dict)
    budget: Annotated[
        str | float,
        "labels to ask for in the whole run: a share of the target's pixels (0.01 or 1%), "
        'a number for each image ("40 regions") or answers in all ("500 clicks")',
    ] = "0.01"
    annotator: Annotated[
        Literal["oracle", "manual"],
        "who answers: oracle looks answers up in labels that the target has already; manual writes "
        "the queries of a round for people and ends, until --resume",
    ] = "oracle"
    mixed: Annotated[
        Literal["quadrants", "pixels", "drop"],
        "what happens to a window that people answer as mixed: its quadrants or pixels are asked "
        "for, once, or it becomes void",
    ] = "quadrants"
    scope: Annotated[
        Literal["image", "pool"],
        "image: the same share of every image; pool: the best regions wherever they are",
    ] = "image"
    clipped: Annotated[
        Literal["last", "any"],
        "windows that the border of an image clips: last: asked for once no whole one is left; "
        "any: by their scores, as published",
    ] = "last"
    rounds: Annotated[int, "rounds in which the budget is spent, in equal parts"] = 5
    round_steps: Annotated[
        list[int] | None,
        "steps before which the rounds take place, instead of --rounds; null: evenly spaced from 0",
    ] = None
    radius: Annotated[
        int | None,
        "window radius k: a region is (2k+1) x (2k+1) pixels; null: 1, or 3 where people answer",
    ] = None
    exclusion_radius: Annotated[
        int | None,
        "window radius around a pick in which none is made again; "
        "null: the strategy's own, 5 for halo and 2k for most",
    ] = None


@dataclass(frozen=True)
class OutputSettings:
    """What is written, and where."""

    out: Annotated[str | None, "run folder; null: runs/NAME-DATE-TIME"] = None
    name: Annotated[
        str | None,
        "name of the run; null: SOURCE-TARGET-STRATEGY, or the protocol for the strategy",
    ] = None
    resume: Annotated[str | None, "run folder to continue, with the settings stored in it"] = None
    logger: Annotated[
        Literal["csv", "wandb"], "where figures are logged, beside the CSV files of every run"
    ] = "csv"
    wandb_project: Annotated[str | None, "project on Weights & Biases; null: alseg"] = None
    experiment: Annotated[
        str | None, "experiment that the run belongs to: its group on Weights & Biases"
    ] = None
    pictures: Annotated[int, "images of which every round saves pictures"] = 4
    progress: Annotated[bool, "show progress and the time left"] = True


GROUPS: Mapping[str, type] = {
    "active": ActiveSettings,
    "data": DataSettings,
    "model": ModelSettings,
    "training": TrainingSettings,
    "output": OutputSettings,
}
"""The groups of settings, in the order in which they are listed."""


OF_THE_MACHINE = ("accelerator", "devices", "num_nodes", "workers", "progress")
"""The settings that may differ when a run is resumed."""

MOVABLE = ("source", "target")
"""The settings that may name another place when a run is resumed, of the same data."""


ASKING = frozenset(field.name for field in fields(ActiveSettings))
"""The settings of what is asked for."""

WRITING = frozenset(field.name for field in fields(OutputSettings))
"""The settings of what is written, and where."""

NETWORK = frozenset({"head", "hyperbolic_dim", "curvature", "reweighting"})
"""The settings of the network's head, with each of which goes a start of its own."""

_LOSSES = {"target_weight", "consistency_weight", "negative_weight", "negative_threshold"}

OF_METHOD = ASKING | _LOSSES | NETWORK
"""The settings that make a method beside its protocol: what is asked, the head, its losses."""

COMPARED = frozenset(OF_METHOD | WRITING | {"protocol", "seed"})
"""What runs of one matrix may differ in."""

AFTER_THE_START = frozenset(
    (ASKING | WRITING | _LOSSES | {"protocol", "steps", "decay_steps", "validate_every"})
    | {"init_from", "report_split", "eval_size", "flip", "workers"}
)
"""The settings that a start on the source does not depend on."""

MAY_CHANGE = WRITING.union(OF_THE_MACHINE)
"""The settings in which a run that has been started may differ from what is asked for now."""


class Setting(NamedTuple):
    """What the command line and the documentation need to know of one setting."""

    name: str
    group: str
    type: Any
    help: str
    default: Any

    @property
    def is_size(self) -> bool:
        """Whether the value is a height and a width."""
        return Size in get_args(self.type)

    @property
    def is_mapping(self) -> bool:
        """Whether the value is a mapping from names to values."""
        return get_origin(self.type) is dict


@cache
def all_settings() -> tuple[Setting, ...]:
    """Return every setting, in the order of the groups."""
    found = []
    for group, settings in GROUPS.items():
        defaults = settings()
        for name, hint in get_type_hints(settings, include_extras=True).items():
            kind, help = get_args(hint)
            found.append(Setting(name, group, kind, help, getattr(defaults, name)))
    return tuple(found)


def parse_size(name: str, text: str) -> Size:
    """Read a size written ``HEIGHTxWIDTH``.

    Raises:
        ConfigError: The text of the setting ``name`` is not a size.
    """
    match = SIZE_TEXT.fullmatch(text)
    if match is None:
        shown = text if len(text) <= LONGEST_SIZE else f"{text[:LONGEST_SIZE]}..."
        raise ConfigError(f"{name} is {shown!r}; write HEIGHTxWIDTH in pixels, such as 180x240.")
    return int(match[1]), int(match[2])


def show_size(size: Size) -> str:
    """Write a size as ``HEIGHTxWIDTH``."""
    return f"{size[0]}x{size[1]}"
