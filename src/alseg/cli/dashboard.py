"""``alseg dashboard``: lay out a project on Weights & Biases for the comparison of its runs."""

from __future__ import annotations

import json
import logging
import shlex
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from alseg.cli.parser import CommandParser
from alseg.errors import ConfigError

if TYPE_CHECKING:
    import wandb_workspaces.workspaces as ws

log = logging.getLogger("alseg")

ABOUT = """Create or update the workspace on Weights & Biases in which the runs of a project are
compared: curves over the labelled share by strategy, with mean and range over the seeds, bars for
every class, costs, and the picks of the rounds. Runs get there by `alseg fit --logger wandb`."""

USAGE = "--wandb ENTITY/PROJECT [--experiment NAME] [--label-space NAME] [--update URL | --print]"


def run(argv: Sequence[str]) -> int:
    """Save the workspace, or print it.

    Raises:
        AlsegError: Something that is needed is not installed, nobody is logged in, or the server
            does not take the workspace.
    """
    parser = CommandParser("dashboard", USAGE, ABOUT, example="--wandb my-team/alseg")
    parser.add("--wandb", required=True, metavar="ENTITY/PROJECT", help="user or team, and project")
    parser.add(
        "--experiment",
        type=str | None,
        default=None,
        metavar="NAME",
        help="compare the runs of this experiment alone",
    )
    parser.add(
        "--label-space",
        type=str | None,
        default=None,
        metavar="NAME",
        help="draw bars for these classes (default: those of the project's runs)",
    )
    parser.add(
        "--update",
        type=str | None,
        default=None,
        metavar="URL",
        help="update the workspace that was saved under this address, instead of a new one",
    )
    parser.add(
        "--print",
        action="store_true",
        help="write the workspace as JSON on stdout, and ask no server",
    )
    arguments = parser.parse(argv).arguments
    entity, project = _project(arguments["wandb"])
    if arguments["print"] and arguments["update"]:
        raise ConfigError("--print asks no server, so it updates nothing: leave out one of both.")
    classes = _classes(arguments["label_space"])
    try:
        from alseg.dashboard import workspace
    except ModuleNotFoundError as error:
        if error.name != "wandb_workspaces":
            raise
        raise ConfigError(
            "This needs the library wandb-workspaces, which is not installed. Install it with: "
            "pip install 'alseg[dashboard]'"
        ) from error

    if arguments["print"]:
        plan = workspace.comparison(entity, project, classes, arguments["experiment"])
        print(json.dumps(workspace.as_json(plan), indent=2))
        if not classes:
            log.info("There are no bars by class: --label-space names the classes.")
        return 0
    print(_save(entity, project, classes, arguments))
    return 0


def _save(entity: str, project: str, classes: Sequence[str], given: Mapping[str, Any]) -> str:
    """Save the workspace, and return what to tell about it."""
    from alseg.dashboard import workspace
    from alseg.runs.wandb_account import logged_in

    if not logged_in():
        raise ConfigError(
            "Nobody is logged in to Weights & Biases. Log in with `wandb login` or set "
            "WANDB_API_KEY; --print needs neither."
        )
    try:
        known = classes or workspace.classes_of(entity, project, given["experiment"])
        plan = workspace.comparison(entity, project, known, given["experiment"])
        if given["update"]:
            plan = workspace.updated(given["update"], plan)
        saved: ws.Workspace = plan.save()
        address = saved.url
    except Exception as error:
        # What the two libraries raise has no base in common; their refusals are ValueErrors too.
        if not isinstance(error, ValueError) and type(error).__module__.split(".")[0] != "wandb":
            raise
        raise ConfigError(
            f"Weights & Biases did not save the workspace of {entity}/{project}: "
            f"{str(error).rstrip('.')}. Check the names, and that the project is yours and has "
            "runs; nothing was changed."
        ) from error
    lines = [f"workspace   {address}"]
    if not known:
        lines.append("no bars by class: no run of the project has ended yet; run this again then")
    again = ["alseg", "dashboard", "--wandb", f"{entity}/{project}", "--update", address]
    for name in ("experiment", "label_space"):
        if given[name] is not None:
            again += ["--" + name.replace("_", "-"), given[name]]
    lines.append(f"update it   {shlex.join(again)}")
    return "\n".join(lines)


def _project(text: str) -> tuple[str, str]:
    entity, slash, project = text.partition("/")
    if not entity or not slash or not project or "/" in project:
        raise ConfigError(
            f"--wandb is {text!r}; it takes ENTITY/PROJECT, the two parts of the project's address "
            "on Weights & Biases, such as my-team/alseg."
        )
    return entity, project


def _classes(label_space: str | None) -> Sequence[str]:
    if label_space is None:
        return ()
    from alseg.data.label_space import load_label_space

    return load_label_space(label_space).classes
