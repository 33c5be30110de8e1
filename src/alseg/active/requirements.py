"""What must be true before a round can be held, checked before anything is computed.

A loop asks for no class of ours: `Learner`, `PoolData` and `Pool` say what it calls.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import lightning as L
from torch import Tensor

from alseg.config.run_files import LAST_CHECKPOINT
from alseg.data.base import Pool, SegmentationDataset
from alseg.data.label_space import LabelSpace, distinct_color
from alseg.data.names import check_storable
from alseg.data.stream import LabelSource
from alseg.errors import ConfigError, LabelStoreError, did_you_mean
from alseg.labels.records import PoolImage
from alseg.labels.region_shape import RegionShape
from alseg.labels.regions.image import WholeImage
from alseg_strategies import Signals, Strategy
from alseg_strategies.signals import HOW_TO_GET, signal_names

WHERE = "docs/strategies.md, under 'In a module of your own', shows one that works."


class Learner(Protocol):
    """What `ActiveLoop` needs of a ``LightningModule``, besides being one.

    Further members are looked at where a module has them:

    - ``offers``: the names of the signals that ``signals`` returns where they are wanted; without
      it, the logits alone.
    - ``run_identity``: a mapping of what makes two trainings the same run, as JSON values; without
      it, the name of the class and the hyperparameters that were saved.
    - ``not_for_logits``: the names of parts whose weights the logits of ``signals`` do not depend
      on, such as a memory of the loss; they are not kept for ``previous_logits``.
    - ``before_rounds(data)``: called first, with what feeds the module; raises a ``ConfigError``
      where labels cannot be asked for.

    Attributes:
        classes: The names of the classes, in the order of the logits' channels.
    """

    @property
    def classes(self) -> Sequence[str]:
        """The names of the classes, in the order of the logits' channels."""

    def signals(self, images: Tensor, wanted: Collection[str]) -> Signals:
        """Return what an acquisition strategy may see of some images; called without gradients.

        Args:
            images: B×C×h×w, as ``pool_loader`` gives them, on the device of the module, which is
                in evaluation mode.
            wanted: The names of signals; those that are not offered are left out.

        Returns:
            Maps at any one resolution, over the whole image each; the loop resizes them.
        """


class PoolData(Protocol):
    """What `ActiveLoop` needs of what feeds the training: a data module, or any other object.

    Where it has a ``source`` with ``ids`` and a ``source_loader()`` like ``pool_loader()``, a
    strategy with a ``fit`` is shown the source too. ``run_identity`` is as that of a `Learner`;
    without it, the name of the class and the images count.

    Attributes:
        pool: The images that labels may be asked for.
    """

    @property
    def pool(self) -> Pool:
        """The images that labels may be asked for."""

    def pool_loader(self) -> Iterable[Mapping[str, Any]]:
        """Return what loads the images of this process, without labels, in any batches.

        Of n processes the r-th has the images r, r + n, r + 2n and so on.

        Returns:
            Batches ``{"index": B numbers, "image": B×C×h×w}``, where images of several sizes are a
            list. ``alseg.data.evaluation.pool_loader`` makes it.
        """

    def use_labels(self, labels: LabelSource, label_round: int) -> None:
        """Train from the next batch on with ``labels.label(image_id, label_round)``, H×W uint8.

        A batch that is a mapping may hold ``round``, the round of its labels, by itself or under
        ``target``: one of another round is refused then.
        """


def checked_data(
    trainer: L.Trainer, module: L.LightningModule, data: PoolData | None = None
) -> PoolData:
    """Return what feeds a training, once it is sure that labels can be asked for in it.

    Args:
        trainer: The trainer.
        module: What it trains.
        data: What feeds it; None takes the trainer's data module.

    Raises:
        ConfigError: Something that a loop calls is missing; the message says all of it.
    """
    fed: object = getattr(trainer, "datamodule", None) if data is None else data
    missing = [*_missing(module, "module", Learner)]
    if fed is None:
        missing.append("a data module, or ActiveLoop(data=...) where the trainer is given loaders")
    else:
        missing += _missing(fed, "data", PoolData)
    if not missing:
        missing = _missing(cast(PoolData, fed).pool, "pool", Pool)
    if missing:
        raise ConfigError(f"ActiveLoop needs {'; '.join(missing)}. {WHERE}")
    _check_classes(module)
    before_rounds: Callable[[object], None] | None = getattr(module, "before_rounds", None)
    if before_rounds is not None:
        before_rounds(fed)
    return cast(PoolData, fed)


def _check_classes(module: L.LightningModule) -> None:
    classes, name = classes_of(module), type(module).__name__
    if len(classes) < 2 or not all(isinstance(own, str) for own in classes):
        raise ConfigError(
            f"{name}.classes is {cast(Learner, module).classes!r:.200}; expected the names of two "
            f"classes or more. {WHERE}"
        )
    # The rules for names are those of every label space.
    LabelSpace(name, classes, tuple(map(distinct_color, range(len(classes)))))


def _missing(thing: object, role: str, needed: type) -> list[str]:
    """Return what of a protocol an object lacks, in words."""
    kind, lacks = type(thing).__name__, []
    for name, member in vars(needed).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            if not hasattr(thing, name):
                form = f"an attribute {name}: {member.__doc__}".rstrip(".")
                lacks.append(f"of the {role} {form} ({kind} has none)")
        elif (wrong := _misfit(getattr(thing, name, None), member)) is not None:
            lacks.append(f"of the {role} a method {_form(name, member)} ({kind} has {wrong})")
    return lacks


def _misfit(method: object, expected: Any) -> str | None:
    """Return in words how a method differs from what is called; None if it can be called so."""
    if method is None:
        return "none"
    if not callable(method):
        return f"a {type(method).__name__} of that name"
    try:
        signature = inspect.signature(method)
    except (TypeError, ValueError):  # Of what is written in C there may be none.
        return None
    arguments = list(inspect.signature(expected).parameters)[1:]
    try:
        signature.bind(*arguments)
    except TypeError:
        return f"{expected.__name__}{signature}".replace("'", "")
    return None


def _form(name: str, method: Any) -> str:
    return f"{name}{inspect.signature(method)}".replace("'", "")


def classes_of(module: L.LightningModule) -> tuple[str, ...]:
    """Return the names of the classes of a ``Learner``."""
    classes = cast(Learner, module).classes
    # A text is a sequence of names too, of one letter each.
    if isinstance(classes, str) or not isinstance(classes, Iterable):
        return (classes,)
    return tuple(classes)


def offers_of(module: L.LightningModule) -> frozenset[str]:
    """Return the names of the signals that a ``Learner`` offers."""
    return frozenset({"logits", *getattr(module, "offers", ())})


Loader = Callable[[], Iterable[Mapping[str, Any]]]
"""Returns what loads the images of this process."""


def source_of(data: PoolData) -> tuple[Loader, Pool] | None:
    """Return the loader of the images that training has labels of, and these, if there are any."""
    source, load = getattr(data, "source", None), getattr(data, "source_loader", None)
    return None if source is None or load is None else (load, source)


def pool_images(pool: Pool) -> list[PoolImage]:
    """Return what a label store keeps of the images of a data set.

    Raises:
        ConfigError: A name is no text, or a size is not that of an image.
        DatasetError: Their names cannot be stored, or not beside each other.
    """
    for image_id in pool.ids:
        if not isinstance(image_id, str):
            raise ConfigError(
                f"The pool has an image {image_id!r:.200}, of type {type(image_id).__name__}; give "
                f"every image a name. {WHERE}"
            )
    check_storable(pool.ids)
    return [PoolImage(image_id, *size_of(pool, place)) for place, image_id in enumerate(pool.ids)]


def size_of(pool: Pool, index: int) -> tuple[int, int]:
    """Return height and width of an image of a pool.

    Raises:
        ConfigError: They are no two numbers above 0.
    """
    found: Any = pool.size(index)
    size = tuple(map(int, found)) if isinstance(found, Iterable) else ()
    if len(size) != 2 or min(size) < 1:
        raise ConfigError(
            f"The pool says of {pool.ids[index]} that its size is {found!r:.200}; expected height "
            f"and width in pixels. {WHERE}"
        )
    return size[0], size[1]


def check_pool(pool: Pool, called: Collection[str], by: str) -> None:
    """Check that a pool has the methods that an annotator calls.

    Args:
        pool: The pool.
        called: The names of methods of a ``SegmentationDataset``.
        by: What to call the annotator.

    Raises:
        ConfigError: It lacks one.
    """
    for name in called:
        if wrong := _misfit(getattr(pool, name, None), getattr(SegmentationDataset, name)):
            form = _form(name, getattr(SegmentationDataset, name))
            raise ConfigError(
                f"The annotator {by!r} needs of the pool a method {form} ({type(pool).__name__} "
                f"has {wrong}). Give the pool that method, or ActiveLoop another annotator. {WHERE}"
            )


def check_one_loop(trainer: Any, module: L.LightningModule, kind: type[L.Callback]) -> None:
    """Check that nobody else asks for labels and that the trainer takes the optimiser's steps.

    Args:
        trainer: A ``lightning.Trainer``, which sets ``callbacks`` where mypy cannot see.
        module: What it trains.
        kind: The class of the loop.

    Raises:
        ConfigError: The trainer has two loops, or the module takes the steps itself.
    """
    loops = sum(isinstance(callback, kind) for callback in trainer.callbacks)
    if loops > 1:
        raise ConfigError(
            f"The callbacks hold {loops} ActiveLoops; a training takes one. Leave the others out."
        )
    if not module.automatic_optimization:
        raise ConfigError(
            "The module sets automatic_optimization to False; a run is counted in the trainer's "
            "optimiser steps, one per batch or accumulate_grad_batches. Leave it True."
        )


def check_calls(strategy: Strategy, name: str) -> None:
    """Check that the methods of a strategy can be called as a round calls them.

    Raises:
        ConfigError: One lacks an argument; the message gives the form.
    """
    calls = {"score": ((None, None), {}), "fit": ((None, None), {"generator": 0, "round": 0})}
    for method, (given, named) in calls.items():
        own = inspect.signature(getattr(strategy, method))
        try:
            own.bind(*given, **named)
        except TypeError as error:
            form = "signals, generator=None"
            if method == "fit":
                form = "source, pool, generator=None, round=None"
            raise ConfigError(
                f"The strategy {name} has a method {method}{own}, which a round cannot call: "
                f"{error}. Write it as {method}(self, {form})."
            ) from error


def check_level(strategy: Strategy, name: str, region: RegionShape) -> None:
    """Check that a strategy ranks what is asked for.

    Raises:
        ConfigError: It ranks something else.
    """
    if strategy.level in region.levels:
        return
    if strategy.level in WholeImage.levels:
        raise ConfigError(
            f"The strategy {name} ranks whole images (its level is {strategy.level!r}), and this "
            f"run asks for {region.name}. Ask for whole images, by `--region image` or "
            "ActiveLoop(region=WholeImage()), or take a strategy of the level "
            f"{' or '.join(region.levels)}."
        )
    raise ConfigError(
        f"The strategy {name} has the level {strategy.level!r}; allowed are "
        f"{', '.join(WholeImage.levels)}."
    )


def check_signals(
    strategy: Strategy, name: str, module: L.LightningModule, besides: Collection[str] = ()
) -> None:
    """Check that a network offers what a strategy looks at.

    Args:
        strategy: The strategy.
        name: What to call it.
        module: The network.
        besides: The names of signals that do not come from it alone.

    Raises:
        ConfigError: There is no such signal, or it is not offered; the message names it and how
            to get it.
    """
    unknown = sorted(strategy.requires - signal_names())
    if unknown:
        known = sorted(signal_names())
        raise ConfigError(
            f"The strategy {name} requires {unknown[0]!r}, which is no signal."
            f"{did_you_mean(unknown[0], known)} Known are: {', '.join(known)}."
        )
    offers = offers_of(module)
    missing = sorted(strategy.requires - offers - set(besides))
    if missing:
        offered = ", ".join(sorted(offers))
        how = f": {HOW_TO_GET[missing[0]]}" if missing[0] in HOW_TO_GET else ""
        raise ConfigError(
            f"The strategy {name} looks at the signal {missing[0]!r}, which "
            f"{type(module).__name__} does not offer{how}. It offers {offered}."
        )


def check_none_missing(folder: Path | None, held: int, steps: Sequence[int], step: int) -> None:
    """Check that no round from before a step is missing.

    Args:
        folder: The label store.
        held: Rounds in it.
        steps: The steps before which the rounds take place.
        step: The step that training goes on from.

    Raises:
        LabelStoreError: One is missing, and its turn is over.
    """
    for number, scheduled in enumerate(steps[held:], start=held + 1):
        if scheduled < step:
            raise LabelStoreError(
                f"Round {number} is missing in {folder}, and training goes on from step {step}, "
                f"though the round belongs before step {scheduled}. Restore the round from a copy, "
                f"or remove the run's {LAST_CHECKPOINT} and resume: training begins again, with "
                "the rounds that are there."
            )
