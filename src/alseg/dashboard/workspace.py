"""The workspace on Weights & Biases in which a project's runs are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, is_dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws

from alseg.errors import ConfigError
from alseg.runs.run_summary import AFTER, BEFORE, MIOU, PHASES
from alseg.runs.wandb_names import (
    CLASS_AFTER,
    FRACTION,
    PICKS,
    PICTURES,
    VARIANT,
    seconds_name,
)

MAX_RUNS = 100
"""Runs that a panel draws, and that are looked through for the names of classes; wandb draws 10
unless told otherwise, fewer than five strategies on three seeds make."""


def comparison(
    entity: str, project: str, classes: Sequence[str], experiment: str | None = None
) -> ws.Workspace:
    """Return the workspace, which is saved nowhere yet.

    Curves and bars are grouped by the variant of the runs: a mean over its runs, which differ by
    their seeds, and the range from the lowest to the highest.

    Args:
        entity: The user or team.
        project: Their project.
        classes: The names of the classes that bars are drawn for.
        experiment: The experiment whose runs are compared; None compares all of the project.
    """
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"alseg: {experiment or 'all runs'}",
        sections=_sections(classes),
        settings=ws.WorkspaceSettings(max_runs=MAX_RUNS),
        runset_settings=ws.RunsetSettings(
            groupby=[ws.Config(VARIANT)],
            filters="" if experiment is None else ws.And(ws.Metric("Group") == experiment),
        ),
    )


def updated(url: str, plan: ws.Workspace) -> ws.Workspace:
    """Return a workspace that was saved before, with its sections as they are planned now.

    Sections that somebody else added stay, below.

    Args:
        url: The address of the saved workspace, as it was printed or as the browser shows it.
        plan: What is planned, for the same project.

    Raises:
        ConfigError: The address is not that of a saved workspace of the project.
    """
    parts = urlsplit(url)
    name = parse_qs(parts.query).get("nw", [""])[0]
    if parts.path.split("/")[1:3] != [plan.entity, plan.project] or not name:
        raise ConfigError(
            f"{url} is not the address of a saved view of {plan.entity}/{plan.project}. It looks "
            f"like https://wandb.ai/{plan.entity}/{plan.project}?nw=ID; `alseg dashboard` prints "
            "it when it saves one."
        )
    home = f"{parts.scheme}://{parts.netloc}/{plan.entity}/{plan.project}"
    workspace = ws.Workspace.from_url(f"{home}?nw={name}")
    planned = {section.name for section in plan.sections}
    others = [section for section in workspace.sections if section.name not in planned]
    workspace.name = plan.name
    workspace.sections = [*plan.sections, *others]
    workspace.runset_settings.groupby = plan.runset_settings.groupby
    workspace.runset_settings.filters = plan.runset_settings.filters
    return workspace


def classes_of(entity: str, project: str, experiment: str | None = None) -> list[str]:
    """Return the names of the classes that runs of a project were measured on at their end.

    Args:
        entity: The user or team.
        project: Their project.
        experiment: The experiment whose runs are looked through; None takes all of the project.
    """
    chosen = None if experiment is None else {"group": experiment}
    runs = wandb.Api().runs(f"{entity}/{project}", chosen, order="-created_at", lazy=False)
    summaries = (run.summary_metrics for run in islice(runs, MAX_RUNS))
    names = {name for figures in summaries for name in figures}
    return sorted(name.removeprefix(CLASS_AFTER) for name in names if name.startswith(CLASS_AFTER))


def as_json(value: Any) -> Any:
    """Return a workspace as plain values: what is set of it, and the kind of every part."""
    if is_dataclass(value):
        known = {
            field.name: as_json(getattr(value, field.name))
            for field in fields(value)
            if not field.name.startswith("_")
        }
        return {"kind": type(value).__name__, **{k: v for k, v in known.items() if v is not None}}
    if isinstance(value, dict):
        return {str(key): as_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(part) for part in value]
    return value


def _sections(classes: Sequence[str]) -> list[ws.Section]:
    share = "share of the pixels labelled"
    curves = [
        wr.LinePlot(
            title="mIoU on the validation split",
            x=FRACTION,
            y=[f"val/{MIOU}"],
            title_x=share,
            title_y="mIoU",
            max_runs_to_show=MAX_RUNS,
            **_GROUPED,
        ),
        wr.ScatterPlot(
            title="mIoU after training, run by run",
            x=wr.SummaryMetric(FRACTION),
            y=wr.SummaryMetric(f"{AFTER}/{MIOU}"),
        ),
        _bars("mIoU before training under the protocol", f"{BEFORE}/{MIOU}"),
        _bars("mIoU after training", f"{AFTER}/{MIOU}"),
    ]
    costs = [
        _bars("regions asked for", "labels/regions"),
        _bars("pixels asked for", "labels/asked_pixels"),
        _bars("clicks", "labels/clicks"),
        _bars("seconds of people, where timed", "labels/seconds"),
        *(_bars(f"seconds of the machine: {phase}", seconds_name(phase)) for phase in PHASES),
    ]
    picks = [
        wr.MediaBrowser(
            title="labels, scores and picks, round by round",
            media_keys=list(PICTURES.values()),
            mode="grid",
            grid_x_axis="step",
            grid_y_axis="run",
            layout=wr.Layout(w=24, h=16),
        ),
        wr.WeavePanelSummaryTable(table_name=PICKS, layout=wr.Layout(w=24, h=12)),
    ]
    by_class = [_bars(f"IoU of {name}", CLASS_AFTER + name) for name in classes]
    sections = {
        "Accuracy for labels": curves,
        "IoU by class after training": by_class,
        "Costs": costs,
        "Picks of the last rounds": picks,
    }
    return [
        ws.Section(name=name, panels=panels, is_open=True)
        for name, panels in sections.items()
        if panels
    ]


_GROUPED: dict[str, Any] = {
    "groupby": wr.Config(VARIANT),
    "groupby_aggfunc": "mean",
    "groupby_rangefunc": "minmax",
}


def _bars(title: str, metric: str) -> wr.BarPlot:
    return wr.BarPlot(
        title=title,
        metrics=[metric],
        max_runs_to_show=MAX_RUNS,
        max_bars_to_show=MAX_RUNS,
        **_GROUPED,
    )
