"""`alseg dashboard` against a server of the test's own."""

import json
import shlex
import sys

import pytest

from alseg.cli.main import main
from alseg.runs.run_summary import RunSummary
from alseg.runs.wandb_names import summary_figures

pytest.importorskip("wandb_workspaces")

PROJECT = ["dashboard", "--wandb", "lab/roads"]


def told(capsys, *arguments):
    """Run the command; return its status and what it says on stdout and stderr."""
    status = main([*PROJECT, *arguments])
    said = capsys.readouterr()
    return status, said.out, said.err


def add_run(backend, name, experiment="roads", **summary):
    known = {"project": "roads", "groupName": experiment, "config": "{}", "tags": ["halo"]}
    backend.runs[name] = known
    backend.summary[name] = summary


def spec(backend):
    """Return the one saved view as the server got it."""
    (view,) = backend.views.values()
    return json.loads(view["spec"])["section"]


def panels(backend):
    """Return the panels of the one saved view, by section: kind and settings of each."""
    return {
        section["name"]: [(panel["viewType"], panel["config"]) for panel in section["panels"]]
        for section in spec(backend)["panelBankConfig"]["sections"]
    }


@pytest.fixture
def saved(account, capsys):
    """Return the server, with a view of a project of two runs, and the view's address."""
    add_run(account, "r1", **{"after/IoU/road": 0.5, "after/mIoU": 0.5})
    add_run(account, "r2", **{"after/IoU/road": 0.4, "after/IoU/traffic light": 0.1})
    status, out, _ = told(capsys)
    assert status == 0
    return account, out.split()[1]


def test_curves_run_over_the_labelled_share_with_mean_and_range_by_variant(saved):
    backend, address = saved
    assert address.startswith(f"{backend.url}/lab/roads?nw=")
    kind, curve = panels(backend)["Accuracy for labels"][0]
    assert kind == "Run History Line Plot"
    assert (curve["xAxis"], curve["metrics"]) == ("labelled_fraction", ["val/mIoU"])
    assert (curve["groupBy"], curve["groupAgg"], curve["groupArea"]) == (
        "variant.value",
        "mean",
        "minmax",
    )
    (runs,) = spec(backend)["runSets"]
    assert runs["grouping"] == [{"section": "config", "name": "variant.value"}]


def test_there_are_bars_for_every_class_of_the_runs(saved):
    backend, _ = saved
    bars = panels(backend)["IoU by class after training"]
    assert [config["metrics"] for _, config in bars] == [
        ["after/IoU/road"],
        ["after/IoU/traffic light"],
    ]
    assert all(kind == "Bar Chart" and config["groupAgg"] == "mean" for kind, config in bars)


def test_costs_and_picks_are_those_that_a_run_sends(saved):
    backend, _ = saved
    costs = {config["metrics"][0] for _, config in panels(backend)["Costs"]}
    spent = ["answers", "timed", "seconds", "regions", "clicks", "asked_pixels", "void_pixels"]
    phases = ["source start", "training", "asking for labels", "analysis", "evaluation"]
    known = {"labels": dict.fromkeys(spent, 1), "seconds": dict.fromkeys(phases, 1.0)}
    assert {"labels/regions", "labels/clicks", "seconds/training"} <= costs
    assert costs <= summary_figures(RunSummary(known)).keys()
    (_, gallery), (_, table) = panels(backend)["Picks of the last rounds"]
    assert gallery["mediaKeys"] == ["pictures/labels", "pictures/scores", "pictures/picks"]
    assert '"picks"' in json.dumps(table)


def test_an_update_keeps_the_view_and_what_others_added_to_it(saved, capsys):
    backend, address = saved
    (view,) = backend.views.values()
    content = json.loads(view["spec"])
    sections = content["section"]["panelBankConfig"]["sections"]
    sections.append({**sections[0], "name": "notes of a colleague"})
    view["spec"] = json.dumps(content)
    add_run(backend, "r3", "first sweep", **{"after/IoU/sky": 0.9})
    status, out, _ = told(capsys, "--update", address, "--experiment", "first sweep")
    assert (status, out.split()[1]) == (0, address)
    assert view["displayName"] == "alseg: first sweep"
    assert list(panels(backend)) == [
        "Accuracy for labels",
        "IoU by class after training",
        "Costs",
        "Picks of the last rounds",
        "notes of a colleague",
    ]
    # Of the experiment alone: the other runs of the project have other classes.
    ((_, bars),) = panels(backend)["IoU by class after training"]
    assert bars["metrics"] == ["after/IoU/sky"]
    (runs,) = spec(backend)["runSets"]
    (chosen,) = runs["filters"]["filters"]
    assert (chosen["key"]["name"], chosen["value"]) == ("group", "first sweep")


def test_the_printed_command_updates_the_view_to_what_it_is(account, capsys):
    add_run(account, "r1", "first sweep", **{"after/IoU/road": 0.5})
    add_run(account, "r2", "another", **{"after/IoU/sky": 0.5})
    _, out, _ = told(capsys, "--experiment", "first sweep")
    bars, (runs,) = panels(account)["IoU by class after training"], spec(account)["runSets"]
    assert len(bars) == len(runs["filters"]["filters"]) == 1
    (line,) = (line for line in out.splitlines() if line.startswith("update it"))
    assert main(shlex.split(line)[3:]) == 0
    assert panels(account)["IoU by class after training"] == bars
    assert spec(account)["runSets"][0]["filters"] == runs["filters"]


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("{url}/lab/roads?nw=missing", "`missing` not found"),
        ("{url}/lab/streets?nw=abc", "not the address of a saved view of lab/roads"),
        ("{url}/lab/roads", "not the address of a saved view of lab/roads"),
    ],
)
def test_a_view_that_is_not_there_is_not_updated(account, capsys, address, words):
    status, _, err = told(capsys, "--update", address.format(url=account.url))
    assert status == 2
    assert words in err
    assert account.views == {}


def test_the_workspace_is_printed_without_a_server(nobody, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    status, out, err = told(capsys, "--print", "--label-space", "camvid11")
    assert (status, err) == (0, "")
    workspace = json.loads(out)
    assert (workspace["entity"], workspace["project"]) == ("lab", "roads")
    sections = {section["name"]: section["panels"] for section in workspace["sections"]}
    curve = sections["Accuracy for labels"][0]
    assert curve["kind"] == "LinePlot"
    assert (curve["x"], curve["y"]) == ("labelled_fraction", ["val/mIoU"])
    assert len(sections["IoU by class after training"]) == 11


def test_a_workspace_without_classes_says_how_to_name_them(nobody, capsys):
    status, out, err = told(capsys, "--print")
    assert status == 0
    assert "--label-space" in err
    assert "IoU by class after training" not in out


def test_where_nobody_is_logged_in_nothing_is_asked(backend, capsys, monkeypatch):
    monkeypatch.setenv("WANDB_BASE_URL", backend.url)
    status, _, err = told(capsys)
    assert status == 2
    assert "wandb login" in err
    assert backend.asked == []


def test_a_server_that_refuses_is_answered_in_a_sentence(account, capsys, monkeypatch):
    def refuse(given):
        raise PermissionError("not your project")

    monkeypatch.setattr(account, "_UpsertView2", refuse, raising=False)
    status, _, err = told(capsys, "--label-space", "camvid11")
    assert status == 2
    assert "did not save the workspace of lab/roads" in err
    assert "Traceback" not in err
    assert [str(error) for error in account.failed] == ["not your project"]
    account.failed.clear()


@pytest.mark.parametrize("project", ["roads", "lab/", "/roads", "https://wandb.ai/lab/roads"])
def test_what_is_no_project_is_refused(capsys, project):
    assert main(["dashboard", "--wandb", project]) == 2
    assert "ENTITY/PROJECT" in capsys.readouterr().err


def test_a_project_that_is_not_given_is_asked_for_with_an_example(capsys):
    assert main(["dashboard"]) == 2
    assert (
        "missing: --wandb ENTITY/PROJECT such as in `alseg dashboard --wandb my-team/alseg`."
        in capsys.readouterr().err
    )


def test_a_missing_library_is_named_with_how_to_install_it(capsys, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "alseg.dashboard.workspace", raising=False)
    monkeypatch.delattr("alseg.dashboard.workspace", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Without("wandb_workspaces"), *sys.meta_path])
    status, _, err = told(capsys, "--print")
    assert status == 2
    assert "pip install 'alseg[dashboard]'" in err


class Without:
    """Finds no module of a name, as where it is not installed."""

    def __init__(self, name):
        self.name = name

    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == self.name:
            raise ModuleNotFoundError(f"No module named {self.name!r}", name=self.name)
