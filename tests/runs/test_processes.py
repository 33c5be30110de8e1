"""The command on several processes, as torchrun, SLURM or two hosts start it."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from tests.helpers.archives import digests
from tests.helpers.processes import Ranks, alseg, free_port, run_ranks
from tests.helpers.toys import TINY

from alseg.distributed.processes import PARENT_VARIABLE, RUN_VARIABLE
from alseg.errors import ConfigError
from alseg.labels import LabelStore
from alseg.runs.folder import RunFolder

SETTINGS = ["--strategy", "ripu", "--budget", "3 regions", "--steps", "6", "--validate-every", "2"]
SETTINGS += ["--warm-start-steps", "0"]


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    path = tmp_path_factory.mktemp("settings") / "tiny.yaml"
    path.write_text(TINY)
    return path


def fit(settings, out, *more, ranks=1, **launcher):
    folder = out.parent / f"{out.name}-logs"
    run = run_ranks(
        alseg,
        *("fit", "-c", settings, "--out", out, *SETTINGS, *more),
        ranks=ranks,
        folder=folder,
        **launcher,
    )
    return run.said()


@pytest.fixture(scope="module")
def by_two(settings, tmp_path_factory):
    out = tmp_path_factory.mktemp("two") / "run"
    said = fit(settings, out, "--devices", 2, ranks=2)
    assert said.count("mIoU on") == 1
    return out


def test_two_processes_ask_for_as_much_as_one_and_count_every_image_once(
    settings, by_two, tmp_path
):
    by_one = tmp_path / "one"
    fit(settings, by_one)
    stores = [LabelStore.open(run / "labels") for run in (by_one, by_two)]
    assert [store.regions for store in stores] == [3 * 5, 3 * 5]
    assert digests(by_one / "labels/round-001") == digests(by_two / "labels/round-001")
    before = [json.loads((run / "summary.json").read_text())["before"] for run in (by_one, by_two)]
    assert before[0] == pytest.approx(before[1], abs=1e-6, nan_ok=True)


def test_the_best_checkpoint_is_chosen_and_reported_on_two_processes(by_two):
    assert (by_two / "checkpoints" / "best.ckpt").is_file()
    assert 0 <= json.loads((by_two / "summary.json").read_text())["best"]["mIoU"] <= 1


def test_slurm_starts_the_same_run_as_torchrun(settings, by_two, tmp_path):
    nodes = ["--num-nodes", 2, "--devices", 1]
    fit(settings, tmp_path / "run", *nodes, ranks=2, launcher="slurm")
    assert digests(tmp_path / "run" / "labels") == digests(by_two / "labels")


def fail_between_trainings(*arguments):
    """Be the command, on a disk that is full when the first rank writes what was spent."""

    def record(folder):
        if folder.summary.labels is not None and os.environ["RANK"] == "0":
            raise ConfigError("the disk is full")

    RunFolder.record = record
    alseg(*arguments)


def all_fail(target, *arguments, folder, **launcher):
    started = Ranks(target, *arguments, ranks=2, folder=folder, **launcher)
    assert all(started.wait(60)), started.said()
    return [log.read_text() for log in started.logs]


def test_a_failure_between_trainings_ends_all_ranks_with_its_message(settings, tmp_path):
    command = ["fit", "-c", settings, "--out", tmp_path / "run", *SETTINGS, "--devices", 2]
    for said in all_fail(fail_between_trainings, *command, folder=tmp_path):
        assert "the disk is full" in said


def test_a_resume_that_is_refused_is_refused_by_all_ranks(by_two, tmp_path):
    shutil.copytree(by_two, tmp_path / "run")
    path = tmp_path / "run/labels/round-001/manifest.json"
    path.write_bytes(path.read_bytes()[:-9])
    for said in all_fail(alseg, "fit", "--resume", tmp_path / "run", folder=tmp_path):
        assert f"{path} cannot be used" in said


def start_hosts(settings, out):
    """Start two agents of torchrun, as two hosts that share a folder would."""
    root = Path(__file__).parents[2]
    paths = [str(root / "src"), str(root / "strategies" / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "NO_ALBUMENTATIONS_UPDATE": "1",
    }
    agents = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", "--rdzv-id=run"]
    agents += [f"--rdzv-endpoint=127.0.0.1:{free_port()}", "-m", "alseg.cli.main", "fit"]
    run = ["-c", str(settings), "--out", str(out), "--num-nodes", "2", "--devices", "1", *SETTINGS]
    return [
        subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", *agents, *run],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for _ in range(2)
    ]


def kill_host(agent):
    """Kill an agent and its worker, which is in a session of its own."""
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    for pid in [agent.pid, *map(int, children)]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def wait_for(hosts, seconds):
    try:
        return [host.communicate(timeout=seconds)[0] for host in hosts]
    finally:
        for host in hosts:
            if host.poll() is None:
                kill_host(host)


def test_two_hosts_that_share_a_folder_run_as_two_processes_of_one_do(settings, by_two, tmp_path):
    hosts = start_hosts(settings, tmp_path / "run")
    said = wait_for(hosts, 200)
    assert [host.returncode for host in hosts] == [0, 0], "\n".join(said)
    assert digests(tmp_path / "run" / "labels") == digests(by_two / "labels")


@pytest.mark.slow
def test_a_host_that_dies_takes_the_other_along_and_the_run_can_be_resumed(
    settings, by_two, tmp_path
):
    out = tmp_path / "run"
    hosts = start_hosts(settings, out)
    while not (out / "labels" / "round-001").exists():
        assert all(host.poll() is None for host in hosts)
        time.sleep(0.05)
    kill_host(hosts[1])
    wait_for(hosts, 60)
    assert hosts[0].returncode
    again = ["fit", "--resume", out, "--devices", 2, "--num-nodes", 1]
    run_ranks(alseg, *again, ranks=2, folder=tmp_path)
    assert digests(out / "labels") == digests(by_two / "labels")


@pytest.mark.parametrize(("launcher", "more"), [("torchrun", []), ("slurm", ["--num-nodes", 3])])
def test_as_many_processes_as_the_settings_ask_for_must_have_been_started(
    settings, tmp_path, launcher, more
):
    command = ["fit", "-c", settings, "--out", tmp_path / "run", *SETTINGS, *more]
    for said in all_fail(alseg, *command, folder=tmp_path, launcher=launcher):
        assert "The launcher started 2 processes in all, but the settings ask for" in said
    assert not (tmp_path / "run").exists()


def test_a_run_of_two_machines_does_not_wait_for_the_other_without_a_launcher(by_two, tmp_path):
    shutil.copytree(by_two, tmp_path / "run")
    command = ["fit", "--resume", tmp_path / "run", "--num-nodes", 2]
    started = Ranks(alseg, *command, ranks=1, folder=tmp_path)
    assert started.wait(30) == [2]
    assert "--num-nodes 1" in started.said()


def die_while_the_settings_are_written(*arguments):
    """Be the command, the first process of which is killed before it has met the others."""

    def keep(folder, config, directory):
        os.kill(os.getpid(), signal.SIGKILL)

    RunFolder._keep = keep
    alseg(*arguments)


def test_a_first_process_that_is_killed_early_takes_the_others_along(settings, tmp_path):
    command = ["fit", "-c", settings, "--out", tmp_path / "run", *SETTINGS, "--devices", 2]
    early = Ranks(die_while_the_settings_are_written, *command, ranks=2, folder=tmp_path)
    codes = early.wait(60)
    assert codes[0] == -signal.SIGKILL
    assert codes[1] > 0, early.said()
    assert "alseg fit failed" not in early.said()


def test_a_process_of_lightning_ends_when_the_one_that_started_it_is_gone(settings, tmp_path):
    """The parent of the processes here is the test's server, which is not the first process."""
    environment = {
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "2",
        RUN_VARIABLE: str(tmp_path / "run"),
        PARENT_VARIABLE: str(os.getpid()),
    }
    command = ["fit", "-c", settings, "--devices", 2, *SETTINGS]
    started = Ranks(alseg_in, environment, *command, ranks=1, folder=tmp_path)
    assert started.wait(30) == [1]
    assert "The first process is gone." in started.said()


def alseg_in(environment, *arguments):
    os.environ.update(environment)
    alseg(*arguments)


def test_a_run_that_started_on_the_source_is_resumed_by_the_processes_that_it_starts(
    settings, tmp_path
):
    own = ["fit", "-c", settings, *SETTINGS, "--warm-start-steps", "1", "--devices", "2"]
    for arguments in ([*own, "--out", tmp_path / "run"], ["fit", "--resume", tmp_path / "run"]):
        command = [sys.executable, "-m", "alseg.cli.main", *map(str, arguments)]
        with (tmp_path / "said").open("w") as said:
            # Of its own session, so that none of its processes is left where it hangs.
            run = subprocess.Popen(command, stdout=said, stderr=said, start_new_session=True)
            try:
                assert run.wait(150) == 0, (tmp_path / "said").read_text()
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(run.pid, signal.SIGKILL)
        # What was measured at the end is measured again, from the start on the source.
        (tmp_path / "run/checkpoints/last.ckpt").unlink()
        (tmp_path / "run/summary.json").unlink()
    assert LabelStore.open(tmp_path / "run/labels").rounds > 0
