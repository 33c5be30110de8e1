"""What a person is told when a run ends."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from alseg.config.labelling_cost import ORACLE_CLICKS, in_words, seconds_per_click
from alseg.config.protocols import PROTOCOLS
from alseg.config.run import RunConfig
from alseg.data import SegmentationDataset
from alseg.runs.folder import RunFolder


def summary_text(folder: RunFolder, config: RunConfig, reported: SegmentationDataset | None) -> str:
    """Return the figures before and after, what the labels cost, and what to do next."""
    known = folder.summary
    last = folder.last_checkpoint
    if reported is None:
        lines = ["", "no mIoU: the target has no labelled images to measure on"]
    else:
        lines = _figure_lines(known, config, reported)
    if "labels" in known:
        lines += ["", *_label_lines(known["labels"])]
    lines += ["", "seconds"]
    lines += [f"  {name:18} {seconds:8.1f}" for name, seconds in known["seconds"].items()]
    lines += [
        "",
        f"run folder   {folder.path}",
        f"checkpoint   {last}",
    ]
    if "labels" in known:
        lines.append(f"labels       {folder.labels}")
    if folder.pictures.is_dir():
        lines.append(f"pictures     {folder.pictures}")
    lines += [
        "",
        "next: use the network on images of yours",
        f"  alseg predict {shlex.quote(str(last))} IMAGES -o predictions",
    ]
    return "\n".join(lines)


def _figure_lines(
    known: Mapping[str, Any], config: RunConfig, reported: SegmentationDataset
) -> list[str]:
    before, after = known["before"], known["after"]
    lines = [
        "",
        f"mIoU on {reported.name} {reported.split} ({len(reported)} images), "
        f"{len(reported.label_space)} classes",
        f"  before   {_percent(before['mIoU'])}  ({_start_words(config)})",
        f"  after    {_percent(after['mIoU'])}  (last checkpoint)",
    ]
    if "mIoU*" in after:
        lines.append(f"  after    {_percent(after['mIoU*'])}  (mIoU* over 13 classes)")
    if "most_frequent" in known:
        name, constant = _most_frequent(known, reported.label_space.classes)
        lines.append(
            f"  constant {_percent(constant)}  ({name} everywhere, the most frequent class)"
        )
    if "best" in known:
        lines.append(f"  best     {_percent(known['best']['mIoU'])}  (chosen on the val split)")
    if words := start_warning(known, config, reported.label_space.classes):
        lines += ["", words]
    lines += ["", f"  {'IoU':14}  before   after"]
    lines += [
        f"  {name:14}  {_percent(before[f'IoU/{name}'])}  {_percent(after[f'IoU/{name}'])}"
        for name in reported.label_space.classes
    ]
    return lines


def start_warning(known: Mapping[str, Any], config: RunConfig, classes: Sequence[str]) -> str:
    """Return a warning where predicting one class everywhere beats the network at the start.

    Args:
        known: The run's figures.
        config: Its settings.
        classes: The names of the classes.
    """
    before = known.get("before", {}).get("mIoU")
    if before is None or "most_frequent" not in known or not PROTOCOLS[config.protocol].active:
        return ""
    name, constant = _most_frequent(known, classes)
    if before >= constant:
        return ""
    reached, of_one = (_percent(share).strip() for share in (before, constant))
    # Rounded alike, "less than" would contradict itself.
    found = f"The start reaches {reached} mIoU, no more than {name} everywhere does ({of_one})."
    if config.strategy == "random":
        return found
    return (
        f"{found} What such a network ranks first is close to arbitrary: start from a better one "
        "(--warm-start-steps, --init-from), or ask at random (--strategy random)."
    )


def _most_frequent(known: Mapping[str, Any], classes: Sequence[str]) -> tuple[str, float]:
    frequent = known["most_frequent"]
    return classes[frequent["class"]], frequent["mIoU"]


def _pace(labels: Mapping[str, Any]) -> str:
    if not labels["timed"]:
        return ""
    seconds, timed = labels["seconds"], labels["timed"]
    return (
        f"; {timed:,} answers on the page in {seconds / 60:.1f} minutes "
        f"({seconds / timed:.1f} s per click)"
    )


def _label_lines(labels: Mapping[str, Any]) -> list[str]:
    lines = [
        f"labels asked for: {labels['regions']:,} regions, {labels['asked_pixels']:,} pixels "
        f"({_percent(labels['labelled_fraction'], 3)} of the pool), "
        f"{labels['void_pixels']:,} of them void"
    ]
    if "answers" in labels:
        lines.append(f"answered by people: {labels['clicks']:,} clicks charged{_pace(labels)}")
    lines.append(_cost_line(labels))
    if "answers" not in labels:
        lines.append(ORACLE_CLICKS)
    if labels["shortfall"]:
        lines.append(
            f"the pool was exhausted: {labels['shortfall']} of the budget were not spent; "
            "a smaller --exclusion-radius leaves more to ask for"
        )
    return lines


def _cost_line(labels: Mapping[str, Any]) -> str:
    clicks, pace = labels["clicks"], seconds_per_click(labels)
    how = "as measured on the page" if labels.get("timed") else "assumed: nobody was timed"
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
