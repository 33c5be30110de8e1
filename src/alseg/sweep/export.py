"""A matrix for those who run it: a job script for SLURM, a sweep file for Weights & Biases."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from alseg.config.run_files import CONFIG, SUMMARY
from alseg.config.yaml_file import write_mapping
from alseg.runs.run_summary import AFTER
from alseg.runs.wandb_names import PROJECT
from alseg.sweep.plan import Run, starts_of

SWEEP_FILE = "${args}"
"""Stands in every sweep file that is written here."""

SLURM = """\
#!/bin/bash
# The runs of {title}, a task each. Set below what your cluster asks for (partition, time, account)
# and how `alseg` gets on the path, then submit:
{submit}
# A task that is submitted again goes on with its run; one that has ended trains nothing again. A
# run whose start is not finished ends at once, and holds back no other.
#SBATCH --job-name={name}
#SBATCH --ntasks=1
{gpus}#SBATCH --cpus-per-task=4
#SBATCH --output={log}

cd {here} || exit 1

needs() {{ # FOLDER: end unless the start in it is finished
    if ! grep -qs '"{after}"' "$1/{summary}"; then
        echo "The start in $1 is not finished. See its log, then submit this task again." >&2
        exit 1
    fi
}}

resume() {{ # FOLDER OPTION...: go on with the run in a folder, if there is one
    if [ -f "$1/{config}" ]; then
        exec alseg fit --resume "$@"
    fi
}}

case "$1-$SLURM_ARRAY_TASK_ID" in
{cases}
*)
    echo "There is no task $1-$SLURM_ARRAY_TASK_ID: see how to submit at the top." >&2
    exit 2
    ;;
esac
"""

GPU = "#SBATCH --gpus-per-task=1\n"
"""The line of the job script that runs on the processor go without."""


def slurm_script(runs: Sequence[Run], title: str, out: Path, here: Path) -> str:
    """Return a job script with the runs as arrays: the starts, then those that need them.

    Args:
        runs: The runs.
        title: What they are the runs of.
        out: Their common folder.
        here: The directory that relative paths begin in; absolute.
    """
    needed = _starts_among(runs)
    arrays = {
        "starts": [run for run in runs if run.name in needed],
        "runs": [run for run in runs if run.name not in needed],
    }
    cases = [
        f"{array}-{number}) {_needs(run)}"
        f"resume {shlex.join([str(run.folder), *run.of_the_machine])}; "
        f"exec alseg fit {shlex.join(run.arguments)} ;;"
        for array, members in arrays.items()
        for number, run in enumerate(members)
    ]
    last = len(arrays["runs"]) - 1
    submit = f"sbatch --array=0-{last} SCRIPT runs"
    lines = [submit]
    if needed:
        lines = [
            f"starts=$(sbatch --parsable --array=0-{len(needed) - 1} SCRIPT starts)",
            submit.replace("SCRIPT", "--dependency=afterany:$starts SCRIPT"),
        ]
    # sbatch may be called elsewhere, and takes % in its options for the number of the task.
    logs = here / out / "logs"
    log = str(logs).replace("%", "%%") + "/slurm-%A-%a.log"
    return SLURM.format(
        title=title,
        summary=SUMMARY,
        after=AFTER,
        config=CONFIG,
        submit="\n".join([f"#   mkdir -p {shlex.quote(str(logs))}", *(f"#   {x}" for x in lines)]),
        name=shlex.quote((here / out).name),
        log=shlex.quote(log),
        gpus="" if all(run.config.accelerator == "cpu" for run in runs) else GPU,
        here=shlex.quote(str(here)),
        cases="\n".join(cases),
    )


def wandb_sweep(runs: Sequence[Run], matrix: Path, out: Path, more: Sequence[str]) -> str:
    """Return a sweep file whose agents each take one run after the other.

    Args:
        runs: The runs.
        matrix: The matrix file.
        out: The folder of the runs.
        more: The settings that were given beside the matrix, as options.
    """
    needed = _starts_among(runs)
    # An agent may be started elsewhere.
    command = ["alseg", "sweep", str(matrix.resolve()), "--out", str(out.resolve()), *more]
    first = shlex.join([*command, "--only", "starts/*"])
    about = "# Begin with the starts that the runs share, once:\n#   " + first + "\n"
    about += "# then `wandb sweep` with this file, and as many `wandb agent` as you like.\n"
    content = {
        # Else wandb chooses one for the agents' runs. The last run is no start.
        "project": runs[-1].config.wandb_project or PROJECT,
        "name": out.resolve().name,
        "method": "grid",
        "parameters": {"only": {"values": [run.name for run in runs if run.name not in needed]}},
        "command": [*command, "--logger", "wandb", SWEEP_FILE],
    }
    return (about if needed else "") + write_mapping(content)


def _needs(run: Run) -> str:
    return "" if run.start is None else f"needs {shlex.quote(str(run.start.folder))}; "


def _starts_among(runs: Sequence[Run]) -> set[str]:
    """Return the names of the starts that are to be run, before those that need them."""
    return starts_of(runs) & {run.name for run in runs}
