"""Runs in one file: read like their folders, and not trusted."""

import os
import re
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from tests.helpers.evidence import write_evidence, write_whole_matrix
from tests.helpers.runs import write_matrix, write_run

from alseg.cli.main import main
from alseg.compare.archive import FORMAT
from alseg.compare.runs import find_runs
from alseg.errors import CompareError

WRITTEN = ("report.html", "report.csv", "report-runs.csv", "report.md")


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def archive_of(*runs, to="kept.zip"):
    assert main(["compare", *map(str, runs), "--archive", to, "-o", "thrown/away.html"]) in (0, 1)
    return Path(to)


def report_of(*runs, folder):
    status = main(["compare", *map(str, runs), "-o", f"{folder}/report.html"])
    return status, [Path(folder, name).read_bytes() for name in WRITTEN]


def write_odd_runs(folder):
    """Write runs that have not ended, are damaged, or have damaged, missing or odd rounds."""
    (write_run(folder / "stopped", seed=7) / "summary.json").unlink()
    (write_run(folder / "cut", seed=8) / "summary.json").write_text('{"after"')
    (write_run(folder / "no yaml", seed=9) / "config.yaml").write_text("strategy: [halo")
    (write_run(folder / "no config", seed=10) / "config.yaml").unlink()
    (folder / "halo-0.01-0/analysis/round-001.json").write_text("[")
    path = folder / "halo-0.01-1/analysis/round-001.json"
    path.write_text(path.read_text().replace("round-001/street_0.score.jpg", "../config.yaml"))
    (folder / "random-0.01-1/analysis/round-002.json").unlink()


def test_an_archive_is_compared_as_its_folders_are():
    write_whole_matrix(Path("runs/one"))
    assert report_of("runs", folder="a") == report_of(archive_of("runs"), folder="b")
    assert b"data:image/jpeg" in Path("b/report.html").read_bytes()


def test_so_are_runs_that_are_damaged():
    write_odd_runs(write_whole_matrix(Path("runs")))
    folders = report_of("runs", folder="a")
    assert folders == report_of(archive_of("runs"), folder="b")
    assert folders[0] == 1
    told = folders[1][3].decode()
    assert "runs/cut/summary.json cannot be read" in told
    assert "runs/no yaml/config.yaml, line 1" in told
    assert "its picture '../config.yaml' lies elsewhere" in told


def test_archives_and_folders_are_compared_together():
    write_matrix(Path("runs"))
    whole = report_of("runs", folder="a")
    Path("rest").mkdir()
    names = sorted(path.name for path in Path("runs").iterdir())
    kept = [archive_of(f"runs/{name}", to=f"{name}.zip") for name in names[:3]]
    places = [*kept, *(f"runs/{name}" for name in names[3:])]
    assert report_of(*places, folder="b") == whole
    assert report_of(archive_of(*places), folder="c") == whole


def test_an_archive_holds_what_is_read_of_runs_and_nothing_of_the_time_or_machine():
    run = write_run(Path("runs/a"), rounds=1, provenance={"devices": ["cpu"]})
    write_evidence(run, 1, names=["street/0"])
    for more in ("labels/round-001/images.zip", "checkpoints/last.ckpt", "alseg.log"):
        path = run / more
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("much")
    first = archive_of("runs").read_bytes()
    for path in run.rglob("*"):
        os.utime(path, (10**9, 10**9))
    assert archive_of("runs").read_bytes() == first
    with zipfile.ZipFile("kept.zip") as archive:
        assert archive.namelist() == [
            *(
                f"runs/a/analysis/round-001/street_0.{kind}.jpg"
                for kind in ("errors", "image", "picks", "score")
            ),
            "runs/a/analysis/round-001.json",
            "runs/a/config.yaml",
            "runs/a/provenance.json",
            "runs/a/summary.json",
        ]
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
        assert archive.testzip() is None


@pytest.mark.parametrize("work", ["{here}/work", "../work"])
def test_no_name_in_an_archive_is_absolute_or_climbs(tmp_path, monkeypatch, work):
    for seed, place in enumerate(("runs/a", "more/b")):
        write_run(tmp_path / "work" / place, seed=seed)
    Path("in").mkdir()
    monkeypatch.chdir("in")
    work = work.format(here=tmp_path)
    kept = archive_of(f"{work}/runs", f"{work}/more/b")
    assert [str(run.folder) for run in find_runs([kept])] == ["work/runs/a", "work/more/b"]
    assert [str(run.folder) for run in find_runs([archive_of(f"{work}/runs/a")])] == ["a"]


def test_two_runs_of_one_name_are_not_archived(capsys):
    write_run(Path("runs/a"))
    kept = archive_of("runs")
    write_run(Path("runs/b"), strategy="halo")
    assert main(["compare", str(kept), "runs", "--archive", "more.zip"]) == 2
    assert "2 runs would be called runs/a in the archive" in capsys.readouterr().err


def test_what_is_no_archive_of_runs_is_not_replaced(capsys):
    write_run(Path("runs/a"))
    with zipfile.ZipFile("kept.zip", "w") as archive:
        archive.writestr("thesis.tex", "three years")
    before = Path("kept.zip").read_bytes()
    for name in ("kept.zip", "kept.txt"):
        assert main(["compare", "runs", "--archive", name]) == 2
    said = capsys.readouterr().err
    assert "kept.zip is there and was not written by a comparison" in said
    assert "its name has to end in .zip" in said
    assert Path("kept.zip").read_bytes() == before
    assert sorted(path.name for path in Path().iterdir()) == ["kept.zip", "runs"]


def test_a_link_that_leads_out_of_a_run_is_not_followed_into_an_archive(capsys):
    run = write_run(Path("runs/a"))
    (run / "analysis").mkdir()
    Path("secret.jpg").write_bytes(b"secret")
    (run / "analysis/x.jpg").symlink_to(Path("secret.jpg").absolute())
    assert main(["compare", "runs", "--archive", "kept.zip"]) == 2
    assert "x.jpg is a link to" in capsys.readouterr().err
    assert not Path("kept.zip").exists()


def write(members, comment=FORMAT):
    with zipfile.ZipFile("sent.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.comment = comment
        for name, content in members:
            archive.writestr(name, content)
    return Path("sent.zip")


def link():
    member = zipfile.ZipInfo("runs/a/summary.json")
    member.create_system, member.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return member


def refusal_of(path):
    with pytest.raises(CompareError) as error:
        find_runs([path])
    assert str(error.value).startswith(f"{path} cannot be compared: ")
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ([("/etc/config.yaml", "")], "'/etc/config.yaml' in it is no path inside a folder"),
        ([("runs/../../config.yaml", "")], "is no path inside a folder"),
        ([("..\\config.yaml", "")], "is no path inside a folder"),
        ([("runs//config.yaml", "")], "is no path inside a folder"),
        ([("runs/", "")], "is no path inside a folder"),
        ([("a/" * 3000 + "config.yaml", "")], "is no path inside a folder"),
        ([(link(), "/etc/passwd")], "'runs/a/summary.json' in it is a link"),
    ],
)
def test_names_and_links_that_lead_out_of_an_archive_are_refused(members, reason):
    assert reason in refusal_of(write(members))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_files_of_one_name_in_an_archive_are_refused():
    twice = [("runs/a/config.yaml", "seed: 0"), ("runs/a/config.yaml", "seed: 1")]
    assert "it holds 'runs/a/config.yaml' twice" in refusal_of(write(twice))


def test_an_archive_of_runs_that_unpacks_to_very_much_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("it was unpacked"))
    path = write([("runs/a/config.yaml", bytes(300 << 20)), ("runs/b/config.yaml", "")])
    assert path.stat().st_size < 1 << 20
    data = path.read_bytes()
    # The second states a size of 300 MiB, too.
    place = data.rindex(b"PK\x01\x02")
    path.write_bytes(data[: place + 24] + struct.pack("<I", 300 << 20) + data[place + 28 :])
    assert "its files have more than 512 MB together" in refusal_of(path)


def test_a_file_in_an_archive_that_is_longer_than_it_states_is_damaged():
    path = write([("runs/a/config.yaml", bytes(1 << 20))])
    data = path.read_bytes()
    place = data.rindex(b"PK\x01\x02")
    path.write_bytes(data[: place + 24] + struct.pack("<I", 10) + data[place + 28 :])
    assert "damaged" in refusal_of(path)


def test_a_file_in_an_archive_that_is_encrypted_is_refused():
    path = write([("runs/a/config.yaml", "seed: 0")])
    data = bytearray(path.read_bytes())
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert "'runs/a/config.yaml' in it is encrypted" in refusal_of(path)


def test_a_file_in_an_archive_is_stored_or_deflated():
    with zipfile.ZipFile("sent.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.comment = FORMAT
        archive.writestr("runs/a/config.yaml", "seed: 0")
    assert "is compressed in another way" in refusal_of(Path("sent.zip"))


def test_an_archive_of_other_things_is_refused():
    members = [("runs/a/config.yaml", "seed: 0")]
    for comment in (b"", re.sub(rb"\d+", b"99", FORMAT)):
        assert "another ZIP archive than those of runs" in refusal_of(write(members, comment))
    Path("sent.zip").write_text("PK, and nothing else")
    assert "no ZIP archive, or damaged" in refusal_of(Path("sent.zip"))


def test_an_archive_that_is_damaged_anywhere_is_used_or_refused_in_a_sentence():
    write_evidence(write_run(Path("runs/a"), rounds=1), 1, names=["street/0"])
    path = archive_of("runs")
    whole = path.read_bytes()
    refused = []
    places = range(0, len(whole), len(whole) // 40)
    for place in places:
        changed = whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :]
        for damaged in (whole[:place], changed):
            path.write_bytes(damaged)
            try:
                find_runs([path])
            except CompareError as error:
                refused.append(str(error))
    assert len(refused) > len(places)
    assert not any("\n" in text for text in refused)
