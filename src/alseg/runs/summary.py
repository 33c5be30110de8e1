"""What a person is told when a run ends."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from alseg.config.labelling_cost import ORACLE_CLICKS, UNPRICED_MASKS, in_words
from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig
from alseg.data import SegmentationDataset
from alseg.labels.region_shape import RegionShape, region_of
from alseg.runs.folder import RunFolder
from alseg.runs.run_summary import MIOU_13, Evaluation, Labels, RunSummary


def summary_text(folder: RunFolder, config: RunConfig, reported: SegmentationDataset | None) -> str:
    """Return the figures before and after, what the labels cost, and what to do next."""
    known = folder.summary
    last = folder.last_checkpoint
    if reported is None:
        lines = ["", "no mIoU: the target has no labelled images to measure on"]
    else:
        lines = _figure_lines(known, config, reported)
    if known.labels is not None:
        lines += ["", *_label_lines(known.labels, region_of(config))]
    lines += ["", "seconds"]
    lines += [f"  {name:18} {seconds:8.1f}" for name, seconds in known.seconds.items()]
    lines += [
        "",
        f"run folder   {folder.path}",
        f"checkpoint   {last}",
    ]
    if known.labels is not None:
        lines.append(f"labels       {folder.labels}")
    if folder.pictures.is_dir():
        lines.append(f"pictures     {folder.pictures}")
    lines += [
        "",
        "next: use the network on images of yours",
        f"  alseg predict {shlex.quote(str(last))} IMAGES -o predictions",
    ]
    return "\n".join(lines)


def _figure_lines(known: RunSummary, config: RunConfig, reported: SegmentationDataset) -> list[str]:
    before, after = known.before or Evaluation({}), known.after or Evaluation({})
    lines = [
        "",
        f"mIoU on {reported.name} {reported.split} ({len(reported)} images), "
        f"{len(reported.label_space)} classes",
        f"  before   {_percent(before.miou)}  ({_start_words(config)})",
        f"  after    {_percent(after.miou)}  (last checkpoint)",
    ]
    if MIOU_13 in after.figures:
        lines.append(f"  after    {_percent(after.figures[MIOU_13])}  (mIoU* over 13 classes)")
    if (frequent := known.most_frequent) is not None:
        name = reported.label_space.classes[frequent.number]
        lines.append(
            f"  constant {_percent(frequent.miou)}  ({name} everywhere, the most frequent class)"
        )
    if known.best is not None:
        lines.append(f"  best     {_percent(known.best.miou)}  (chosen on the val split)")
    if words := start_warning(known, config, reported.label_space.classes):
        lines += ["", words]
    lines += ["", f"  {'IoU':14}  before   after"]
    lines += [
        f"  {name:14}  {_percent(before.iou[name])}  {_percent(after.iou[name])}"
        for name in reported.label_space.classes
    ]
    return lines


def start_warning(known: RunSummary, config: RunConfig, classes: Sequence[str]) -> str:
    """Return a warning where predicting one class everywhere beats the network at the start.

    Args:
        known: The run's figures.
        config: Its settings.
        classes: The names of the classes.
    """
    before = None if known.before is None else known.before.miou
    frequent = known.most_frequent
    if before is None or frequent is None or not PROTOCOLS[config.protocol].active:
        return ""
    if before >= frequent.miou:
        return ""
    name = classes[frequent.number]
    reached, of_one = (_percent(share).strip() for share in (before, frequent.miou))
    # Rounded alike, "less than" would contradict itself.
    found = f"The start reaches {reached} mIoU, no more than {name} everywhere does ({of_one})."
    if config.strategy == "random":
        return found
    return (
        f"{found} What such a network ranks first is close to arbitrary: start from a better one "
        "(--warm-start-steps, --init-from), or ask at random (--strategy random)."
    )


def _pace(labels: Labels) -> str:
    if not labels.timed or labels.seconds is None:
        return ""
    return (
        f"; {labels.timed:,} answers on the page in {labels.seconds / 60:.1f} minutes "
        f"({labels.seconds / labels.timed:.1f} s per click)"
    )


def _label_lines(labels: Labels, region: RegionShape) -> list[str]:
    what = "images" if region.is_painted else "regions"
    lines = [
        f"labels asked for: {labels.regions:,} {what}, {labels.asked_pixels:,} pixels "
        f"({_percent(labels.labelled_fraction, 3)} of the pool), "
        f"{labels.void_pixels:,} of them void"
    ]
    if region.is_painted:
        lines.append(UNPRICED_MASKS)
        return lines + _shortfall_lines(labels, region)
    if labels.answers is not None:
        lines.append(f"answered by people: {labels.clicks:,} clicks charged{_pace(labels)}")
    lines.append(_cost_line(labels))
    if labels.answers is None:
        lines.append(ORACLE_CLICKS)
    return lines + _shortfall_lines(labels, region)


def _shortfall_lines(labels: Labels, region: RegionShape) -> list[str]:
    if not labels.shortfall:
        return []
    return [
        f"the pool was exhausted: {labels.shortfall} of the budget were not spent. {region.advice}"
    ]


def _cost_line(labels: Labels) -> str:
    clicks, pace = labels.clicks or 0, labels.seconds_per_click()
    how = "as measured on the page" if labels.timed else "assumed: nobody was timed"
    return (
        f"for a person: {clicks:,} clicks x {pace:.1f} s = {in_words(clicks * pace)} "
        f"({pace:.1f} s per click {how})"
    )


def _start_words(config: RunConfig) -> str:
    if config.init_from is not None:
        return f"start from {config.init_from}"
    if config.protocol == "target_only" or not config.warm_start_steps:
        return "untrained start"
    return f"source only, {config.warm_start_steps} steps"


def _percent(share: float | None, digits: int = 1) -> str:
    if share is None:
        return "  none "
    return f"{100 * share:5.{digits}f} %"
