"""The data sets of a run."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig
from alseg.config.settings import names_of
from alseg.data import SegmentationDataset, open_dataset
from alseg.data.checks import check_channels
from alseg.data.registry import is_relative, is_there
from alseg.errors import DatasetError
from alseg.runs.folder import RunFolder

log = logging.getLogger("alseg")


@dataclass(frozen=True)
class Domains:
    """The data sets of a run.

    Attributes:
        source: Labelled training images; None where the protocol needs none.
        target: Training images of the target, the pool.
        reported: The images that the final figures are measured on; None where people answer and
            the target has no label at all.
        chosen: Other labelled images to choose the best checkpoint on; None where there are none.
    """

    source: SegmentationDataset | None
    target: SegmentationDataset
    reported: SegmentationDataset | None
    chosen: SegmentationDataset | None

    @property
    def names(self) -> list[str]:
        """The names of source and target; of the target alone where there is no source."""
        return [images.name for images in (self.source, self.target) if images is not None]


def open_domains(config: RunConfig) -> Domains:
    """Open the data sets that a run needs.

    Raises:
        DatasetError: A data set cannot be opened, the domains share no class, or no labelled split
            is left to report on.
    """
    try:
        opened = _open(config)
        check_channels(
            {"source": opened.source, "target": opened.target, "report": opened.reported}
        )
        return opened
    except DatasetError as error:
        if config.resume is None:
            raise
        there = RunFolder.open(config.resume).started_elsewhere
        relative = [spec for spec in (config.source, config.target) if is_relative(spec)]
        remedies = []
        if there is not None and relative:
            remedies.append(
                f"The run was started in {there}, where {' and '.join(relative)} begin"
                f"{'' if len(relative) > 1 else 's'}: resume it from there."
            )
        gone = [
            f"--{name} ADAPTER:WHERE"
            for name in names_of("moved")
            if not is_there(getattr(config, name))
        ]
        if gone:
            remedies.append(f"If the data were moved, say where they are: {' '.join(gone)}.")
        raise DatasetError(" ".join([str(error), *remedies])) from error


def _open(config: RunConfig) -> Domains:
    protocol = PROTOCOLS[config.protocol]

    def target(split: str) -> SegmentationDataset:
        return open_dataset(
            config.target, split, label_space=config.label_space, **config.target_options
        )

    pool = target("train")
    source = None
    starts = protocol.uses_source and config.warm_start_steps and config.init_from is None
    if starts or "source" in protocol.domains:
        source = open_dataset(
            config.source, "train", label_space=pool.label_space, **config.source_options
        )
    usable = {split: _labelled(target, split) for split in ("test", "val")}
    if config.report_split is not None:
        reported: SegmentationDataset | None = target(config.report_split)
    else:
        reported = usable["test"] or usable["val"]
    by_people = protocol.active and config.annotator == "manual" and config.report_split is None
    if reported is None and by_people:
        return Domains(source, pool, None, None)
    if reported is None or not reported.has_labels:
        raise DatasetError(
            f"{config.target} has no labelled images to report on in its "
            f"{config.report_split or 'test or val'} split. Add some, so that it can be seen what "
            "the labels bought."
        )
    chosen = usable["val"] if reported.split != "val" else None
    return Domains(source, pool, reported, chosen)


def _labelled(
    target: Callable[[str], SegmentationDataset], split: str
) -> SegmentationDataset | None:
    try:
        opened = target(split)
    except DatasetError as error:
        log.info("Going on without the target's %s split: %s", split, error)
        return None
    return opened if len(opened) and opened.has_labels else None
