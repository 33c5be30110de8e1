"""Checkpoints as the commands open them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from alseg.config.run_files import BEST, LAST, LAST_CHECKPOINT, SOURCE, SOURCE_LAST
from alseg.data.module import SegmentationDataModule
from alseg.data.value_range import ValueRange
from alseg.distributed import interruption
from alseg.distributed.stop_together import StoppedTogether
from alseg.errors import ConfigError, DatasetError, WeightsError
from alseg.runs.folder import RunFolder
from alseg.storage.durable import replace_durably
from alseg.training.module import SegmentationModule

WITHOUT = {
    SOURCE_LAST: "the source start begins again",
    SOURCE: "the source start is trained again",
    LAST: "training begins again, with the labels that were asked for",
    BEST: "the best is chosen among the validations that are left",
}
"""What a run does on resuming, without each of its checkpoints."""


class DurableCheckpoints(TorchCheckpointIO):
    """Saves checkpoints so that the one before stays until the new one is on disk.

    Lightning's own saving goes by way of the system's temporary folder; where that is another
    disk, a run killed while saving is left with half a checkpoint.
    """

    def __init__(self, folder: RunFolder) -> None:
        """Save for the run in a folder."""
        self._folder = folder

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save a checkpoint.

        Raises:
            ConfigError: It cannot be written; the checkpoint before it is untouched.
        """
        target = Path(path)
        # In memory first: of a full disk, torch.save may speak in other words than the system.
        content = io.BytesIO()
        torch.save(checkpoint, content)
        with self._folder.writing(target):
            replace_durably(target, content.getbuffer())
        if target.name != BEST:
            # From here a run goes on; from the best it does not.
            self._folder.book()


class StopBetweenSteps(L.Callback):
    """Saves the last step and ends the training where the process is asked to stop.

    Of several processes all stop at the same step, whichever was asked. A validation ends at once;
    what was trained before it is saved.
    """

    def __init__(self, path: Path, validate_every: int | None = None) -> None:
        """Save to a file.

        Args:
            path: The file.
            validate_every: Steps between two validations, if there are any.
        """
        self._path = path
        self._validate_every = validate_every

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let a signal wait for the end of the step from here on."""
        # The trainer's own handler talks to the other ranks in the middle of what they do.
        interruption.install()
        interruption.defer(True)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save and end if any process was asked to."""
        stop = interruption.asked()
        if trainer.world_size > 1:
            stop = trainer.strategy.reduce_boolean_decision(stop, all=False)
        every = self._validate_every
        if stop or (every is not None and trainer.global_step % every == 0):
            trainer.save_checkpoint(self._path)
        if stop:
            raise StoppedTogether

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let a signal end the validation at once."""
        interruption.defer(False)
        interruption.check()

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let a signal wait again."""
        interruption.defer(True)

    def on_test_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Take the signals back from the trainer."""
        interruption.install()

    def on_test_batch_start(self, *arguments: Any, **named: Any) -> None:
        """End between two images if the process was asked to."""
        interruption.check()

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let signals end what follows at once."""
        interruption.defer(False)

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Let signals end what follows at once."""
        interruption.defer(False)


def load_module(path: str, device: str) -> SegmentationModule:
    """Return the module of a checkpoint, ready for evaluation.

    Raises:
        ConfigError: There is no such device.
        WeightsError: There is no such file, or it is no checkpoint of alseg.
    """
    return load_trained(path, device)[0]


def load_trained(path: str, device: str) -> tuple[SegmentationModule, ValueRange | None]:
    """Return the module of a checkpoint, and the range that its training images were scaled from.

    The file is read as plain tensors and values: nothing in it is executed.

    Args:
        path: The checkpoint.
        device: A torch device, or ``auto`` for the fastest there is.

    Returns:
        The module, ready for evaluation, and the range; None where all images had 8 bits.

    Raises:
        ConfigError: There is no such device.
        WeightsError: There is no such file, or it is no checkpoint of alseg.
    """
    checkpoint = read_checkpoint(path)
    try:
        module = SegmentationModule(**checkpoint["hyper_parameters"])
        weights = {
            name: tensor
            for name, tensor in checkpoint["state_dict"].items()
            if not name.startswith("terms.")
        }
        if any(name.startswith("teacher.") for name in weights) and module.teacher is None:
            module.keep_teacher()
        # What loss terms keep is for training, and a script's own terms are not known here.
        module.load_state_dict({**weights, **module.terms.state_dict(prefix="terms.")})
        kept = checkpoint.get(SegmentationDataModule.__qualname__, {}).get("values")
        values = None if kept is None else ValueRange.parse(kept, strict=False)
    except (
        *(AttributeError, KeyError, TypeError, IndexError, ValueError, RuntimeError),
        DatasetError,
    ) as error:
        raise _unreadable(path, error) from error
    try:
        return module.eval().to(_device(device)), values
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(f"The device {device!r} cannot be used: {reason}") from error


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Return the content of a checkpoint, on the CPU.

    Raises:
        WeightsError: There is no such file, or it is no checkpoint of alseg.
    """
    if not Path(path).is_file():
        what = f"{path} is a folder" if Path(path).is_dir() else f"There is no checkpoint {path}"
        raise WeightsError(f"{what}. A run keeps its own under RUN/{LAST_CHECKPOINT}.")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # What the unpickler raises depends on the first bytes of what is no checkpoint.
        raise _unreadable(path, ValueError("no file of plain tensors and values")) from error
    if not isinstance(content, dict) or not {"state_dict", "hyper_parameters"} <= content.keys():
        raise _unreadable(path, KeyError("no state_dict and hyper_parameters in it"))
    return content


def check_resumable(path: Path) -> int:
    """Check that a run can go on from a checkpoint of its own, and return the step it was saved at.

    Raises:
        WeightsError: It is damaged; the message says how to go on without it.
    """
    try:
        content = read_checkpoint(path)
        if not isinstance(content.get("global_step"), int):
            raise _unreadable(path, KeyError("no global_step in it"))
    except WeightsError as error:
        raise WeightsError(
            f"{error} Restore it from a copy, or remove it and resume: {WITHOUT[path.name]}."
        ) from error
    step: int = content["global_step"]
    return step


def _unreadable(path: str | Path, error: Exception) -> WeightsError:
    reason = str(error).splitlines()[0] if str(error) else "empty"
    return WeightsError(
        f"{path} is not a checkpoint that this version of alseg can read "
        f"({type(error).__name__}: {reason})."
    )


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
