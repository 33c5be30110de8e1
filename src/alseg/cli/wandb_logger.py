"""The Weights & Biases logger of a run."""

from __future__ import annotations

import logging
import os
import secrets

import wandb
from lightning.pytorch.loggers import WandbLogger

from alseg.cli.run_folder import RunFolder, is_first_process
from alseg.config import RunConfig, dump_settings

log = logging.getLogger("alseg")


def wandb_logger(config: RunConfig, folder: RunFolder) -> WandbLogger:
    """Return a logger whose validation curves run over ``labelled_fraction``.

    Nobody logged in and no ``WANDB_MODE`` set means offline: the run lies in the run folder and
    ``wandb sync`` sends it later. A resumed run goes on under the same id.
    """
    offline = "WANDB_MODE" not in os.environ and not wandb.api.api_key
    if offline:
        log.info("wandb: nobody is logged in, so the run is kept offline in %s", folder.path)
    logger = WandbLogger(
        id=folder.summary.setdefault("wandb_id", secrets.token_hex(4)),
        resume="allow",
        name=folder.path.name,
        project=config.wandb_project or "alseg",
        save_dir=folder.path,
        offline=offline,
        tags=[config.strategy],
        job_type=config.protocol,
        config=dump_settings(config),
    )
    if is_first_process():
        run = logger.experiment
        run.define_metric("labelled_fraction")
        for stage in ("val", "test"):
            run.define_metric(f"{stage}/*", step_metric="labelled_fraction")
    return logger


def finish() -> None:
    """End the run on Weights & Biases, so that all of it is sent or kept."""
    wandb.finish()
