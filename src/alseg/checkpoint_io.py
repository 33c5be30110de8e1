"""Checkpoints that are whole whenever the process is killed."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO


class DurableCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint beside the earlier one of that name and then puts it in its place.

    Lightning's own collects it in the system's temporary folder; where that is another file
    system, moving it is a copy, and a process killed meanwhile leaves half a checkpoint.
    """

    def save_checkpoint(
        self,
        checkpoint: dict[str, Any],
        path: str | os.PathLike[str],
        storage_options: Any | None = None,
    ) -> None:
        """Save to a local path.

        Raises:
            OSError: The folder cannot be written; the earlier checkpoint is as it was.
        """
        target = Path(path)
        draft = target.with_name(f".{target.name}.part")
        content = io.BytesIO()
        torch.save(checkpoint, content)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            with draft.open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
