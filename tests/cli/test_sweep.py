"""``alseg fit`` is a small script here, which copies a finished run made beforehand."""

import json
import os
import shlex
import subprocess
import sys

import pytest
import yaml
from tests.helpers.toys import TINY

from alseg.cli.main import main
from alseg.cli.sweep import PROGRAM, _places, checker
from alseg.config.run import dump_config
from alseg.config.yaml_file import read_mapping
from alseg.storage.folder_lock import lock_folder
from alseg.sweep.matrix import read_matrix
from alseg.sweep.plan import differences, plan_runs
from alseg.sweep.runner import last_lines

MATRIX = "strategies: [random, ripu]\nbudgets: [0.01]\nprotocols: [source_only]\n"
START, ONLY, RANDOM, RIPU = NAMES = (
    *("starts/linear-seed0", "source_only-seed0"),
    *("random-1%-seed0", "ripu-1%-seed0"),
)

FIT = """\
echo "$@" >> calls
while [ $# -gt 0 ]; do
    case "$1" in --out|--resume) out=$2 ;; esac
    shift
done
echo "GPU $CUDA_VISIBLE_DEVICES, threads ${OMP_NUM_THREADS:-all}"
name=${out#out/}
if [ -e "fails/$name" ]; then echo out of memory; exit 3; fi
if [ -e "stops/$name" ]; then kill -INT $PPID; sleep 30; fi
mkdir -p "$out" && cp -r "finished/$name/." "$out"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a matrix, the runs that it leads to, and the script in the place of fit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    (tmp_path / "matrix.yaml").write_text(MATRIX)
    (tmp_path / "fit.sh").write_text(FIT)
    (tmp_path / "calls").touch()
    monkeypatch.setattr("alseg.sweep.runner.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("alseg.cli.sweep.PROGRAM", ("/bin/sh", str(tmp_path / "fit.sh")))
    for run in planned(tmp_path):
        folder = tmp_path / "finished" / run.folder.relative_to("out")
        folder.mkdir(parents=True)
        (folder / "config.yaml").write_text(dump_config(run.config))
        summary = {"before": {"mIoU": 0.25}, "after": {"mIoU": 0.5}}
        (folder / "summary.json").write_text(json.dumps(summary))
    return tmp_path


def planned(here):
    matrix = read_matrix(here / "matrix.yaml")
    shared = {"progress": False, "experiment": "out"}
    return plan_runs(matrix, shared, (here / "out").relative_to(here), checker())


def sweep(*more):
    return main(["sweep", "matrix.yaml", "--out", "out", *more])


def calls(here):
    """Return the folder of every run that was begun, or that it went on with, in their order."""
    words = [line.split() for line in (here / "calls").read_text().splitlines()]
    (here / "calls").write_text("")
    return [line[line.index("--resume" if "--resume" in line else "--out") + 1] for line in words]


def mark(here, kind, name):
    path = here / kind / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def test_all_runs_are_run_once_and_their_figures_told(here, capsys):
    assert sweep() == 0
    said = capsys.readouterr().out
    assert [f"out/{name}" for name in NAMES] == calls(here)
    assert "4/4      ripu-1%-seed0: finished in 0.0 min, mIoU 50.0 %" in said
    assert "all 4 runs are finished: out" in said
    assert sweep() == 0
    assert "4 of 4 runs are finished already" in capsys.readouterr().out
    assert calls(here) == []


def test_a_dry_run_prints_commands_that_do_the_same_and_writes_nothing(here, capsys):
    assert sweep("--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert not (here / "out").exists()
    assert [shlex.split(line) for line in lines] == [
        ["alseg", "fit", *run.arguments] for run in planned(here)
    ]
    subprocess.run(["cp", "-r", "finished", "out"], check=True)
    (here / "out" / RIPU / "summary.json").unlink()
    assert sweep("--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == [f"# finished: out/{name}" for name in NAMES[:3]]
    assert lines[3] == "alseg fit --resume out/ripu-1%-seed0 --progress false"


def test_where_the_figures_of_a_run_go_stays_as_it_was_begun(here, capsys):
    subprocess.run(["cp", "-r", "finished", "out"], check=True)
    (here / "out" / RIPU / "summary.json").unlink()
    assert sweep("--logger", "wandb", "--dry-run") == 0
    said = capsys.readouterr()
    assert said.err.count("goes on") == 1
    assert f"out/{RIPU} goes on as it was begun, with logger: csv" in said.err
    assert "wandb" not in said.out


def test_without_data_named_all_runs_are_planned_with_what_fit_takes_for_them(here, capsys):
    runs = planned(here)
    for run in runs:
        assert main(["fit", *run.arguments, "--print-config"]) == 0
        (here / "printed.yaml").write_text(capsys.readouterr().out)
        printed = read_mapping(here / "printed.yaml")
        # These two follow from the strategy, after the settings are printed.
        differing = {text.split()[0] for text in differences(printed, run)}
        assert differing <= {"head", "strategy_options"}
        # The start is that of the runs: as long, and of the same images and batches.
        assert printed["steps"] == (200 if run.start is None else 280)
        assert (printed["batch_size"], printed["size"]) == (4, "96x128")
        assert printed["source_options"] == {"size": [180, 240], "count": 400}
    assert [run.name for run in runs if run.start is None] == [START]


def test_a_start_that_no_unfinished_run_needs_is_not_made(here, capsys):
    (here / "out").mkdir()
    for name in (ONLY, RANDOM, RIPU):
        subprocess.run(["cp", "-r", f"finished/{name}", "out"], check=True)
    assert sweep() == 0
    assert calls(here) == []
    (here / "out" / RIPU / "summary.json").unlink()
    assert sweep() == 0
    assert calls(here) == [f"out/{START}", f"out/{RIPU}"]


def test_a_run_that_fails_is_told_with_its_last_words_and_the_others_go_on(here, capsys):
    failing = mark(here, "fails", RANDOM)
    assert sweep() == 1
    said = capsys.readouterr().out
    assert "random-1%-seed0: failed (exit status 3); its last words:" in said
    assert "| out of memory" in said
    assert "random-1%-seed0  (log: out/logs/random-1%-seed0.log)" in said
    assert calls(here) == [f"out/{name}" for name in NAMES]
    failing.unlink()
    assert sweep() == 0
    assert calls(here) == [f"out/{RANDOM}"]


def test_runs_whose_start_failed_are_not_begun(here, capsys):
    mark(here, "fails", START)
    assert sweep() == 1
    assert calls(here) == [f"out/{START}"]
    said = capsys.readouterr().out
    assert said.count("not run, since starts/linear-seed0 failed") == 3
    assert "4 of 4 runs failed or were not run" in said


def test_ctrl_c_stops_what_runs_and_the_same_command_goes_on(here, capsys):
    stopping = mark(here, "stops", RANDOM)
    assert sweep() == 130
    assert "Give the same command to go on" in capsys.readouterr().out
    assert calls(here) == [f"out/{name}" for name in NAMES[:3]]
    stopping.unlink()
    # What it would have left behind.
    (here / "out" / RANDOM).mkdir()
    (here / "out" / RANDOM / "config.yaml").write_bytes(
        (here / "finished" / RANDOM / "config.yaml").read_bytes()
    )
    assert sweep("--accelerator", "cpu") == 0
    resumed = (here / "calls").read_text().splitlines()[0]
    assert resumed == f"fit --resume out/{RANDOM} --progress false --accelerator cpu"
    assert calls(here) == [f"out/{RANDOM}", f"out/{RIPU}"]


def test_a_folder_with_other_settings_is_refused_before_anything_is_run(here, capsys):
    subprocess.run(["cp", "-r", "finished", "out"], check=True)
    (here / "out" / RIPU / "summary.json").unlink()
    assert sweep("--steps", "700") == 2
    err = capsys.readouterr().err
    assert "out/source_only-seed0 holds a run with other settings: steps is 280 there" in err
    assert "and 700 in the matrix" in err
    assert calls(here) == []


def test_what_is_asked_for_means_nothing_to_runs_that_ask_for_no_labels(here, capsys):
    text = (
        "settings: {rounds: 5}\nstrategies: [{name: random, strategy: random, rounds: 3}]\n"
        "budgets: [0.01]\nprotocols: [source_only]\n"
    )
    (here / "matrix.yaml").write_text(text)
    subprocess.run(["cp", "-r", "finished", "out"], check=True)
    assert sweep("--dry-run") == 0
    assert all(line.startswith("# finished") for line in capsys.readouterr().out.splitlines())


def test_a_second_command_in_the_same_folder_is_refused(here, capsys):
    (here / "out").mkdir()
    lock = lock_folder(here / "out")
    assert sweep() == 2
    assert "Another process is writing to out" in capsys.readouterr().err
    assert sweep("--only", START) == 0
    lock.release()
    assert calls(here) == [f"out/{START}"]


def test_a_run_that_still_goes_in_another_process_is_told_as_that(here, capsys, monkeypatch):
    monkeypatch.setattr("alseg.cli.sweep.PROGRAM", PROGRAM)
    settings = {**yaml.safe_load(TINY), "warm_start_steps": 0}
    content = {"strategies": ["random"], "budgets": [settings.pop("budget")], "settings": settings}
    (here / "matrix.yaml").write_text(yaml.safe_dump(content))
    (run,) = plan_runs(
        read_matrix(here / "matrix.yaml"),
        {**settings, "experiment": "out"},
        (here / "out").relative_to(here),
        checker(),
    )
    # What a run has made that was begun by a command that was killed.
    run.folder.mkdir(parents=True)
    (run.folder / "config.yaml").write_text(dump_config(run.config))
    lock = lock_folder(run.folder)
    assert sweep() == 1
    lock.release()
    said = capsys.readouterr().out
    assert "random-2%-seed0: failed (exit status 2); its last words:" in said
    assert "| alseg fit: Another process is writing to out/random-2%-seed0. Wait until" in said


def test_only_some_are_run_with_the_start_that_they_lack(here, capsys):
    assert sweep("--only", "r*") == 0
    assert calls(here) == [f"out/{name}" for name in (START, RANDOM, RIPU)]
    assert sweep("--only", "starts/*", "--only", "source_only*") == 0
    assert calls(here) == [f"out/{ONLY}"]
    capsys.readouterr()
    assert sweep("--only", RANDOM, "--dry-run") == 0
    assert capsys.readouterr().out == f"# finished: out/{RANDOM}\n"
    assert sweep("--only", "ripu-1%-seed1") == 2
    assert "Did you mean 'ripu-1%-seed0'?" in capsys.readouterr().err


def test_a_damaged_run_does_not_keep_others_from_being_run(here, capsys):
    damaged = here / "out" / RANDOM
    damaged.mkdir(parents=True)
    (damaged / "config.yaml").write_text("[")
    assert sweep("--only", "ripu-*") == 0
    assert calls(here) == [f"out/{name}" for name in (START, RIPU)]
    assert sweep() == 2
    assert str(damaged.relative_to(here)) in capsys.readouterr().err


def test_runs_that_were_moved_without_their_start_are_known_again(here, capsys):
    assert sweep() == 0
    subprocess.run(["mv", "out", "moved"], check=True)
    subprocess.run(["rm", "-r", "moved/starts"], check=True)
    capsys.readouterr()
    assert main(["sweep", "matrix.yaml", "--out", "moved", "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"# finished: moved/{name}" for name in (ONLY, RANDOM, RIPU)]


def test_a_name_with_the_signs_of_a_pattern_is_a_name_too(here, capsys):
    entry = "{name: 'a[1]', strategy: ripu}"
    (here / "matrix.yaml").write_text(f"budgets: [0.01]\nstrategies: [{entry}]\n")
    assert sweep("--only", "a[1]-1%-seed0", "--dry-run") == 0
    assert "--out 'out/a[1]-1%-seed0'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--jobs", "1"], {"GPU , threads all"}),
        (["--devices", "3"], {"GPU 3, threads all"}),
        (["--devices", "3,5", "--jobs", "1"], {"GPU 3, threads all"}),
        (["--devices", "3,5"], {"GPU 3, threads 4", "GPU 5, threads 4"}),
    ],
)
def test_devices_are_handed_out_and_cores_divided(here, monkeypatch, arguments, said):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert sweep(*arguments) == 0
    assert {last_lines(path, 9)[0] for path in (here / "out/logs").iterdir()} == said


def test_settings_of_the_command_line_win_over_those_of_the_matrix_and_these_over_the_base(
    here, capsys
):
    (here / "run.yaml").write_text(
        "steps: 11\nbatch_size: 12\nworkers: 3\nstrategy: halo\nhead: hyperbolic\n"
        "experiment: other\nprogress: true\n"
    )
    (here / "matrix.yaml").write_text(
        "base: run.yaml\nsettings: {batch_size: 6, learning_rate: 1e-5}\nbudgets: [0.01]\n"
        "strategies: [{strategy: ripu, rounds: 2}]\n"
    )
    assert sweep("--learning-rate", "2e-5", "--rounds", "4", "--dry-run") == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[1])
    given = dict(zip(command[2::2], command[3::2], strict=True))
    assert {name: given[f"--{name}"] for name in ("steps", "batch-size", "workers")} == {
        "steps": "11",
        "batch-size": "6",
        "workers": "3",
    }
    assert float(given["--learning-rate"]) == 2e-5
    assert (given["--rounds"], given["--strategy"]) == ("2", "ripu")
    # That of the run's strategy is not that of the variant's, nor is its experiment.
    assert "--head" not in given
    assert (given["--experiment"], given["--progress"]) == ("out", "false")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["none.yaml"], "none.yaml cannot be read: No such file"),
        (["matrix.yaml", "--jobs", "0"], "--jobs is 0; it must be 1 or more"),
        (
            ["matrix.yaml", "--devices", "0,,1"],
            "--devices: expected whole numbers such as 0,1, got '0,,1'",
        ),
        (["matrix.yaml", "--devices", "a"], "--devices: expected whole numbers such as 0,1"),
        (["matrix.yaml", "--job", "2"], "unknown option --job. Did you mean --jobs?"),
        (["matrix.yaml", "--budget", "0.1"], "--budget is for the matrix to say: give `budgets:"),
        (["matrix.yaml", "--seed=3"], "--seed is for the matrix to say: give `seeds: [0, 1, 2]`"),
        (["matrix.yaml", "--strategy-options.radius", "1"], "--strategy-options is for the matrix"),
        (["matrix.yaml", "-c", "seeded.yaml"], "seed is for the matrix to say: give `seeds:"),
        (["matrix.yaml", "--slurm", "--dry-run"], "--slurm and --dry-run both print"),
        (["based.yaml"], "based.yaml: base: nowhere.yaml cannot be read"),
        (["started.yaml"], "begins with its start out/starts/linear-seed0/checkpoints/last.ckpt,"),
        (["many.yaml"], "random-5%-seed0: 3 rounds do not fit into 2 steps of training"),
        (["few.yaml"], "random-0.0001%-seed0: The budget of 0.0001% of the pixels, which comes to"),
        (["mixed.yaml"], "starts/linear-seed0: No folder nowhere"),
        (["matrix.yaml", "--target", "camvid:nowhere"], "nowhere"),
        ([], "missing: MATRIX such as in `alseg sweep matrix.yaml --dry-run`."),
    ],
)
def test_what_cannot_be_read_is_refused(here, capsys, arguments, words):
    (here / "seeded.yaml").write_text("seed: 5\n")
    (here / "based.yaml").write_text(f"base: nowhere.yaml\n{MATRIX}")
    (here / "started.yaml").write_text(f"base: finished/{RIPU}/config.yaml\n{MATRIX}")
    (here / "many.yaml").write_text("settings: {steps: 2}\nstrategies: [random]\nbudgets: [0.05]\n")
    (here / "few.yaml").write_text("strategies: [random]\nbudgets: [1e-6]\n")
    (here / "mixed.yaml").write_text(
        "settings: {source: 'scenes:sim', target: 'scenes:fog'}\nmay_differ: [target]\n"
        "budgets: [0.01]\n"
        "strategies: [{name: far, strategy: random, target: 'camvid:nowhere'}, random]\n"
    )
    assert main(["sweep", *arguments]) == 2
    assert words in capsys.readouterr().err
    assert calls(here) == []


def test_the_job_script_runs_each_task_after_its_start_and_goes_on_with_those_begun(here, capsys):
    assert sweep("--slurm") == 0
    script = capsys.readouterr().out
    assert "--array=0-0 SCRIPT starts" in script
    assert "--array=0-2 --dependency=afterany:$starts SCRIPT runs" in script
    (here / "job.sh").write_text(script)
    (here / "bin").mkdir()
    (here / "bin/alseg").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (here / "bin/alseg").chmod(0o755)

    def task(array, number):
        environment = {"PATH": f"{here}/bin:{os.environ['PATH']}"}
        environment["SLURM_ARRAY_TASK_ID"] = str(number)
        return subprocess.run(
            ["bash", "job.sh", array], env=environment, capture_output=True, text=True
        )

    start, *runs = planned(here)
    assert task("starts", 0).stdout.splitlines() == ["fit", *start.arguments]
    early = task("runs", 0)
    assert (early.returncode, early.stdout) == (1, "")
    assert f"The start in out/{START} is not finished." in early.stderr
    (here / "out/starts").mkdir(parents=True)
    subprocess.run(["cp", "-r", f"finished/{START}", f"out/{START}"], check=True)
    for number, run in enumerate(runs):
        assert task("runs", number).stdout.splitlines() == ["fit", *run.arguments]
    assert task("runs", 3).returncode == 2
    assert "see how to submit" in task("", 0).stderr
    subprocess.run(["cp", "-r", f"finished/{RANDOM}", f"out/{RANDOM}"], check=True)
    resumed = ["fit", "--resume", "out/random-1%-seed0", "--progress", "false"]
    assert task("runs", 1).stdout.splitlines() == resumed


def test_a_job_on_the_processor_asks_for_no_gpu(here, capsys):
    assert sweep("--slurm") == 0
    assert "#SBATCH --gpus-per-task=1\n#SBATCH --cpus" in capsys.readouterr().out
    assert sweep("--slurm", "--accelerator", "cpu") == 0
    assert "gpus" not in capsys.readouterr().out


def test_the_job_script_leaves_out_what_is_finished(here, capsys):
    subprocess.run(["cp", "-r", "finished", "out"], check=True)
    (here / "out" / RIPU / "summary.json").unlink()
    assert sweep("--slurm") == 0
    script = capsys.readouterr().out
    assert "sbatch --array=0-0 SCRIPT runs" in script
    assert [line.split()[:5] for line in script.splitlines() if line.startswith("runs-")] == [
        ["runs-0)", "needs", f"out/{START};", "resume", f"out/{RIPU}"]
    ]
    subprocess.run(["cp", f"finished/{RIPU}/summary.json", f"out/{RIPU}"], check=True)
    assert sweep("--slurm") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert "All runs are finished: there is nothing to submit, and" in said.err
    assert sweep("--wandb-sweep", "wandb.yaml") == 0
    assert "nothing was written" in capsys.readouterr().err
    assert not (here / "wandb.yaml").exists()
    (here / "out" / RIPU / "summary.json").unlink()
    assert sweep("--wandb-sweep", "wandb.yaml") == 0
    assert yaml.safe_load((here / "wandb.yaml").read_text())["parameters"] == (
        {"only": {"values": [RIPU]}}
    )


def test_the_job_script_has_its_logs_where_it_runs_wherever_it_is_submitted(here, capsys):
    assert main(["sweep", "matrix.yaml", "--out", "my 5% runs", "--slurm"]) == 0
    lines = [shlex.split(line.lstrip("#")) for line in capsys.readouterr().out.splitlines()[:13]]
    logs = f"{here}/my 5% runs/logs"
    assert ["mkdir", "-p", logs] in lines
    # In sbatch's options % begins what it fills in, and %% is a %.
    assert ["SBATCH", f"--output={logs.replace('%', '%%')}/slurm-%A-%a.log"] in lines


def test_the_sweep_file_has_an_agent_run_each_by_its_name(here, capsys):
    assert sweep("--steps", "700", "--wandb-sweep", "wandb.yaml") == 0
    text = (here / "wandb.yaml").read_text()
    assert f"alseg sweep {here}/matrix.yaml --out {here}/out --steps 700 --only" in text
    content = yaml.safe_load(text)
    assert content["command"][2:5] == [f"{here}/matrix.yaml", "--out", f"{here}/out"]
    assert (content["method"], content["project"]) == ("grid", "alseg")
    assert content["parameters"] == {"only": {"values": list(NAMES[1:])}}
    capsys.readouterr()
    command = [*content["command"][1:-1], f"--only={RIPU}", "--dry-run"]
    assert content["command"][-1] == "${args}"
    assert main(command) == 0
    start, ripu = capsys.readouterr().out.splitlines()
    assert "--steps 700" in ripu
    assert "--logger wandb" in ripu
    assert f"out/{START}" in start


def test_the_sweep_file_names_the_project_that_the_runs_are_to_lie_in(here):
    assert sweep("--wandb-project", "city", "--wandb-sweep", "wandb.yaml") == 0
    assert yaml.safe_load((here / "wandb.yaml").read_text())["project"] == "city"


def test_a_sweep_file_replaces_an_earlier_one_and_nothing_else(here, capsys):
    assert sweep("--wandb-sweep", "matrix.yaml") == 2
    assert "matrix.yaml is there and is no sweep file of alseg's" in capsys.readouterr().err
    assert (here / "matrix.yaml").read_text() == MATRIX
    for steps in ("600", "700"):
        assert sweep("--steps", steps, "--wandb-sweep", "wandb.yaml") == 0
    assert "700" in (here / "wandb.yaml").read_text()


def test_devices_of_a_file_have_no_place_in_a_sweep_file(here, capsys):
    (here / "more.yaml").write_text("devices: 2\n")
    assert sweep("-c", "more.yaml", "--wandb-sweep", "wandb.yaml") == 2
    assert "Give it under settings in matrix.yaml" in capsys.readouterr().err
    assert not (here / "wandb.yaml").exists()


def test_a_key_of_a_mapping_leaves_the_others_as_the_matrix_has_them(here, capsys):
    (here / "matrix.yaml").write_text(
        f"settings: {{target: 'scenes:fog', target_options: {{count: 20, seed: 3}}}}\n{MATRIX}"
    )
    assert sweep("--target-options.count", "10", "--dry-run") == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[1])
    given = command[command.index("--target-options") + 1]
    assert json.loads(given) == {"count": 10, "seed": 3}
    assert sweep("--target-options.count", "10", "--wandb-sweep", "wandb.yaml") == 0
    assert given in yaml.safe_load((here / "wandb.yaml").read_text())["command"]


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Python 3.10 has no safe path")
def test_runs_import_nothing_from_where_the_command_is_given(here):
    (here / "random.py").write_text("raise SystemExit('a module of the user')\n")
    (place,) = _places(1, None)
    done = subprocess.run(
        [*PROGRAM, "strategies"], env={**os.environ, **place}, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
