"""What a network shows a strategy, whosever it is: checked, and on the grid of the image."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import lightning as L
import torch
from lightning.pytorch.plugins import Precision
from torch import Tensor, distributed, nn
from torch.func import functional_call

from alseg.active.requirements import Learner, classes_of, offers_of, size_of
from alseg.data.base import Pool
from alseg.distributed import interruption
from alseg.errors import ConfigError, LabelStoreError
from alseg.models.prediction import at_least_float32, resize
from alseg_strategies import Signals
from alseg_strategies.errors import SignalError
from alseg_strategies.signals import LIKE_LOGITS, LIKE_PIXELS, signal_names

PREVIOUS = "previous_logits"
"""The signal that no module has to offer: the loop keeps the network of the round before."""

IN_CHECKPOINT = "alseg_previous_network"
"""Where a checkpoint holds the network of the round before, if a strategy compares with it."""

Signalling = Callable[[Tensor, Collection[str]], Signals]
"""Returns the wanted signals of images, as ``Learner.signals`` does."""


@dataclass(frozen=True)
class SignalSource:
    """Shows what a network makes of images, one at a time.

    Attributes:
        module: The network, a ``Learner``; in evaluation mode when it is asked.
        precision: What it computes in, as a trainer has it; None is that of its weights.
        previous: What the network of the round before makes of them; None where that is the
            network itself, as in round 1. It is asked for nothing but ``previous_logits``.
    """

    module: L.LightningModule
    precision: Precision | None = None
    previous: Signalling | None = None

    @torch.no_grad()
    def look(
        self, image: Tensor, name: str, wanted: Collection[str], size: tuple[int, int] | None
    ) -> Signals:
        """Return the signals of an image, all of at least 32 bits.

        Args:
            image: C×h×w, as the network takes it, on any device.
            name: What to call it in an error.
            wanted: The names of the signals; those that are not offered are left out.
            size: Height and width of maps; None leaves them at the network's own resolution.
                Embeddings have that in any case.

        Raises:
            SignalError: What the network returned does not fit the image, its classes or what it
                offers.
        """
        precision = self.precision
        shown = image[None] if precision is None else precision.convert_input(image[None])
        with nullcontext() if precision is None else precision.forward_context():
            shown = shown.to(self.module.device)
            own = cast(Learner, self.module).signals
            signals = self._ask(own, shown, name, frozenset(wanted) - {PREVIOUS})
            earlier = None
            if PREVIOUS in wanted and self.previous is not None:
                earlier = self._ask(self.previous, shown, name, frozenset({"logits"}))
        on_grid = _on_grid(signals, size, name)
        if PREVIOUS not in wanted:
            return on_grid
        logits = on_grid.logits
        if earlier is not None:
            logits = resize(at_least_float32(earlier.logits).contiguous(), logits.shape[-2:])
        return replace(on_grid, previous_logits=logits)

    def _ask(self, ask: Signalling, images: Tensor, name: str, wanted: Collection[str]) -> Signals:
        whose = f"{type(self.module).__name__}.signals"
        try:
            signals: object = ask(images, wanted)
        except SignalError as error:
            raise SignalError(f"{whose} failed for the image {name!r}: {error}.") from error
        classes = classes_of(self.module)
        if not isinstance(signals, Signals):
            got = f"a {type(signals).__name__}; expected alseg_strategies.Signals, such as "
            got += "Signals(logits)"
        elif signals.logits.shape[:2] != (1, len(classes)):
            got = (
                f"logits of the shape {tuple(signals.logits.shape)}; expected (1, {len(classes)}, "
                f"height, width): one image, and a channel for each of {', '.join(classes)}"
            )
        elif absent := sorted(
            offered
            for offered in offers_of(self.module) & frozenset(wanted)
            if getattr(signals, offered) is None
        ):
            got = f"no {absent[0]}, which is wanted and which its `offers` names"
        else:
            return signals
        raise SignalError(f"For the image {name!r} {whose} returned {got}.")


def signals_of(
    source: SignalSource,
    loader: Iterable[Mapping[str, Any]],
    images: Pool,
    wanted: Collection[str],
    resized: bool = True,
) -> Iterator[tuple[int, Signals]]:
    """Yield index and signals of every image of this rank.

    Args:
        source: Shows what the network makes of them.
        loader: What loads the images of this rank.
        images: All images.
        wanted: The names of the signals.
        resized: Whether maps have the size of the image, or the network's own resolution.

    Raises:
        ConfigError: The loader yields something else than images and their indices.
        SignalError: The network returned something that does not fit.
    """
    for batch in loader:
        interruption.check()
        for index, image in _images_in(batch, len(images.ids)):
            size = size_of(images, index) if resized else None
            yield index, source.look(image, images.ids[index], wanted, size)


def _images_in(batch: object, count: int) -> Iterator[tuple[int, Tensor]]:
    """Yield index and image of a batch of a loader of the pool or the source."""
    if isinstance(batch, Mapping) and {"index", "image"} <= batch.keys():
        pairs = list(zip(map(int, batch["index"]), batch["image"], strict=False))
        if len(batch["index"]) == len(batch["image"]) and all(
            0 <= index < count and isinstance(image, Tensor) and image.ndim == 3
            for index, image in pairs
        ):
            yield from pairs
            return
    keys = f" of {', '.join(map(str, batch))}" if isinstance(batch, Mapping) else ""
    raise ConfigError(
        f"A loader of images without labels yielded a {type(batch).__name__}{keys}; expected "
        f'{{"index": B numbers from 0 to {count - 1}, "image": B tensors C×h×w}}, as '
        "alseg.data.evaluation.pool_loader yields it."
    )


def _on_grid(signals: Signals, size: tuple[int, int] | None, name: str) -> Signals:
    """Return signals with maps of a size, and of at least 32 bits: in 16, pixels would tie."""

    def placed(maps: Tensor) -> Tensor:
        return maps if size is None else resize(maps, size)

    found = {
        name: at_least_float32(value)
        for name in signal_names()
        if (value := getattr(signals, name)) is not None
    }
    for key in {"logits", *LIKE_LOGITS} & found.keys():
        # Plane by plane, as strategies read them three times faster than channels last.
        found[key] = placed(found[key].contiguous())
    for key in set(LIKE_PIXELS) & found.keys():
        found[key] = placed(found[key][:, None])[:, 0]
    if "views" in found:
        views = found["views"]
        flat = placed(views.flatten(0, 1))
        found["views"] = flat.view(*views.shape[:2], *flat.shape[1:])
    return Signals(**cast("dict[str, Any]", found), names=[name])


def share_buffers(module: L.LightningModule) -> None:
    """Give every rank the buffers of the first: only its own are in a checkpoint.

    These are the batch-norm statistics, and what loss terms keep in buffers.
    """
    if distributed.is_available() and distributed.is_initialized():
        for buffer in module.buffers():
            distributed.broadcast(buffer, src=0)


class PreviousNetwork:
    """The weights and buffers of the network as it was at a round, for the round after it.

    What a module names as ``not_for_logits`` is left out.

    They are kept on the CPU and in the checkpoints, so that a run that is resumed compares with the
    same network; where no strategy asks for them, nothing is kept.

    Attributes:
        wanted: Whether the strategy asks for ``previous_logits``.
    """

    def __init__(self, wanted: bool) -> None:
        self.wanted = wanted
        self.forget()

    def forget(self) -> None:
        """Take the next training for a new run, unless a checkpoint says otherwise."""
        self._round, self._weights = 0, dict[str, Tensor]()

    def keep(self, module: L.LightningModule, number: int) -> None:
        """Keep the network as it is at a round; every rank calls it."""
        if self.wanted:
            share_buffers(module)
            state, left_out = module.state_dict(), getattr(module, "not_for_logits", ())
            self._round = number
            self._weights = {
                name: state[name].detach().to("cpu", copy=True)
                for name in _tensor_names(module)
                if name in state and not name.startswith(tuple(f"{part}." for part in left_out))
            }

    def signals_of(self, module: L.LightningModule, number: int) -> Signalling | None:
        """Return what shows the signals of the network of the round before a round.

        Args:
            module: The network as it is now.
            number: The round.

        Returns:
            The signals; None in round 1, where the network as it is now counts as that one, and
            where the strategy does not ask for them.

        Raises:
            LabelStoreError: The network of the round before was not kept.
        """
        if not self.wanted or number == 1:
            return None
        self.check(number - 1)
        asking = _Asking(module)
        weights = {
            f"learner.{name}": part.to(module.device) for name, part in self._weights.items()
        }

        def signals(images: Tensor, wanted: Collection[str]) -> Signals:
            found = functional_call(asking, weights, (images, wanted), tie_weights=False)
            return cast(Signals, found)

        return signals

    def check(self, number: int) -> None:
        """Check that the network of a round is the one that is kept.

        Raises:
            LabelStoreError: It is not.
        """
        if self.wanted and self._round != number:
            kept = f"that of round {self._round}" if self._round else "none"
            raise LabelStoreError(
                f"The strategy compares with the network of round {number}, and the checkpoint "
                f"that this training continues from holds {kept}. Resume from a checkpoint of "
                f"this run that was saved between rounds {number} and {number + 1}."
            )

    def write_into(self, checkpoint: dict[str, Any]) -> None:
        """Write the network that is kept, if there is one."""
        if self._round:
            checkpoint[IN_CHECKPOINT] = {"round": self._round, "weights": self._weights}

    def read_from(self, checkpoint: Mapping[str, Any]) -> None:
        """Take up the network that a checkpoint holds, if the strategy wants it."""
        if self.wanted and IN_CHECKPOINT in checkpoint:
            kept = checkpoint[IN_CHECKPOINT]
            self._round, self._weights = kept["round"], dict(kept["weights"])


def _tensor_names(module: nn.Module) -> Iterator[str]:
    """Yield the names of all parameters and buffers, one for each place that holds one.

    Of a part that goes by several names it is the first: PyTorch would not put back what it
    replaced under two names. Weights that several parts share have a name in each.
    """
    for place, part in module.named_modules():
        for named in (part.named_parameters, part.named_buffers):
            for name, _ in named(place, recurse=False, remove_duplicate=False):
                yield name


class _Asking(nn.Module):
    """Asks a module for signals where PyTorch calls it, so that its weights can be replaced."""

    def __init__(self, learner: L.LightningModule) -> None:
        super().__init__()
        self.learner = learner

    def forward(self, images: Tensor, wanted: Collection[str]) -> Signals:
        return cast(Learner, self.learner).signals(images, wanted)
