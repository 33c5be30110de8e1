import json
import re
import shlex

import pytest
from tests.helpers.runs import write_run

from alseg.compare.runs import find_runs
from alseg.errors import CompareError


def test_runs_are_found_below_the_folders_that_are_named_each_once(tmp_path):
    write_run(tmp_path / "night" / "b")
    write_run(tmp_path / "a")
    (tmp_path / "a" / "wandb").mkdir()
    (tmp_path / "a" / "wandb" / "config.yaml").write_text("not: a run")
    found = find_runs([tmp_path, tmp_path / "a"])
    assert [run.folder.name for run in found] == ["a", "b"]
    assert [run.problem for run in found] == ["", ""]


def test_the_shared_starts_of_a_matrix_are_found_where_they_are_named_alone(tmp_path):
    write_run(tmp_path / "ripu-1%-seed0")
    write_run(tmp_path / "starts" / "linear-seed0", protocol="source_only")
    assert [run.folder.name for run in find_runs([tmp_path])] == ["ripu-1%-seed0"]
    assert [run.folder.name for run in find_runs([tmp_path / "starts"])] == ["linear-seed0"]


def test_a_link_to_a_run_is_followed_and_one_to_a_folder_of_runs_is_not(tmp_path):
    write_run(tmp_path / "elsewhere" / "a")
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "linked").symlink_to(tmp_path / "elsewhere" / "a")
    (tmp_path / "runs" / "all").symlink_to(tmp_path / "elsewhere")
    assert [run.folder.name for run in find_runs([tmp_path / "runs"])] == ["linked"]


def test_a_run_tells_its_figures(tmp_path):
    write_run(tmp_path / "r", iou=[0.25, None, 0.75], budget="1%", share=0.0099, regions=40, seed=3)
    (run,) = find_runs([tmp_path])
    assert (run.miou, run.start, run.share, run.clicks, run.seed) == (0.5, 0.2, 0.0099, 40, 3)
    assert run.iou == {"road": 0.25, "sky": None, "car": 0.75}
    assert run.budget.share == 0.01
    assert not run.is_bound


def test_clicks_of_people_count_as_they_were(tmp_path):
    summary = write_run(tmp_path / "r", regions=40) / "summary.json"
    content = json.loads(summary.read_text())
    content["labels"]["clicks"] = 55
    summary.write_text(json.dumps(content))
    assert find_runs([tmp_path])[0].clicks == 55


def test_a_folder_that_is_no_run_is_named(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        CompareError, match=r"empty holds no run to compare: there is no config\.yaml"
    ):
        find_runs([tmp_path / "empty"])
    with pytest.raises(CompareError, match="There is no folder .*missing"):
        find_runs([tmp_path / "missing"])


def edit(run, **parts):
    path = run / "summary.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **parts}))


def unfinished(run):
    (run / "summary.json").write_text('{"seconds": {"training": 1.0}}')


def without_summary(run):
    (run / "summary.json").unlink()


def unlabelled(run):
    edit(run, after={})


def cut_off(run):
    (run / "summary.json").write_text('{"after": {"mIoU"')


def a_list(run):
    (run / "summary.json").write_text("[]")


def words(run):
    edit(run, after={"mIoU": "high"})


def percent(run):
    edit(run, after={"mIoU": 7.5})


def class_in_words(run):
    edit(run, after={"mIoU": 0.5, "IoU/road": "high", "IoU/sky": None})


def of_nothing(run):
    edit(run, labels={"labelled_fraction": float("nan")})


def without_seed(run):
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("\nseed: 0\n", "\n"))


def no_yaml(run):
    (run / "config.yaml").write_text("strategy: [halo")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (unfinished, "has not ended; go on with `alseg fit --resume"),
        (without_summary, "has not ended"),
        (unlabelled, "measured no mIoU"),
        (cut_off, r"summary\.json cannot be read"),
        (a_list, "expected figures by name"),
        (words, "mIoU is 'high', which is no number from 0 to 1"),
        (percent, r"mIoU is 7\.5, which is no number"),
        (class_in_words, r"IoU/road is 'high', which is no number .* made anew\."),
        (of_nothing, "labelled_fraction is nan, which is no number"),
        (without_seed, "lacks seed"),
        (no_yaml, "line 1"),
    ],
)
def test_a_run_without_figures_says_why(tmp_path, damage, reason):
    damage(write_run(tmp_path / "r"))
    (run,) = find_runs([tmp_path])
    assert re.search(reason, run.problem)


def test_the_command_that_goes_on_with_a_run_is_written_as_a_shell_takes_it(tmp_path):
    without_summary(write_run(tmp_path / "a $(b) c"))
    (run,) = find_runs([tmp_path])
    command = run.problem.split("`")[1]
    assert shlex.split(command) == ["alseg", "fit", "--resume", str(tmp_path / "a $(b) c")]
    assert "'" in command
