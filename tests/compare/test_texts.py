import csv
import io

from tests.helpers.evidence import write_whole_matrix
from tests.helpers.runs import write_matrix, write_run

from alseg.compare.comparison import compare_runs
from alseg.compare.evidence import Evidence
from alseg.compare.runs import find_runs
from alseg.compare.tables import pair_tables
from alseg.compare.texts import csv_text, markdown_text, runs_csv, terminal_text


def compared(folder):
    return compare_runs(find_runs([folder]))


def markdown_of(folder):
    comparison = compared(folder)
    return markdown_text(comparison, Evidence(comparison))


def in_terminal(folder):
    comparison = compared(folder)
    return terminal_text(comparison, Evidence(comparison))


def test_the_table_in_the_terminal(tmp_path):
    heading, _, *lines = in_terminal(write_matrix(tmp_path)).splitlines()
    assert heading == "18 runs compared: scenes:sim → scenes:fog"
    assert [line.split()[0] for line in lines[:7]] == (
        ["variant", "source", "random", "random", "halo", "halo", "fully"]
    )
    assert "42.0 ± 2.0" in lines[2]
    # 0.40 of 0.60, 0.42 of 0.61 and 0.44 of 0.62
    assert "68.8 ± 2.2" in lines[2]
    assert "+6.0 (+3.3 to +8.7), better" in lines[4]
    assert "not distinguishable" in lines[5]
    assert max(map(len, lines)) <= 120


def test_pairs_are_held_against_each_other_the_bounds_among_them(tmp_path):
    found = pair_tables(compared(write_matrix(tmp_path)))
    assert list(found) == ["1 %", "3 %"]
    # At 1 %, random has 0.40, 0.42, 0.44 and halo 0.45, 0.48, 0.51; at 3 %, they are even.
    assert found["1 %"][0] == (
        ["at 1 %", "− source only", "− random", "− halo", "− fully supervised"]
    )
    assert found["1 %"][3] == ["halo", "+27.0", "+6.0", "—", "-13.0"]
    assert found["3 %"][3][2] == "+0.0 n. d."


def test_there_is_a_row_for_every_run(tmp_path):
    rows = list(csv.DictReader(io.StringIO(runs_csv(compared(write_matrix(tmp_path))))))
    assert len(rows) == 2 * 2 * 3 + 2 * 3
    halo = [row for row in rows if (row["variant"], row["budget"]) == ("halo", "1 %")]
    assert [row["seed"] for row in halo] == ["0", "1", "2"]
    assert [row["iou_car"] for row in halo] == ["0.45", "0.48", "0.51"]
    assert halo[0]["folder"] == str(tmp_path / "halo-0.01-0")


def test_the_csv_has_plain_numbers(tmp_path):
    rows = list(csv.DictReader(io.StringIO(csv_text(compared(write_matrix(tmp_path))))))
    assert [row["variant"] for row in rows] == (
        ["source only", "random", "random", "halo", "halo", "fully supervised"]
    )
    halo = rows[3]
    assert (halo["budget"], halo["seeds"], halo["verdict"]) == ("1 %", "0 1 2", "better")
    assert float(halo["miou"]) == 0.48
    assert float(halo["miou_deviation"]) == 0.03
    assert float(halo["labelled_share"]) == 0.01
    assert float(halo["clicks"]) == 100
    assert float(halo["difference"]) == 0.06
    assert rows[0]["clicks"] == rows[0]["difference"] == ""


def test_counts_have_all_their_digits_in_the_csv(tmp_path):
    write_run(tmp_path / "a", regions=6_943_217)
    found = compare_runs(find_runs([tmp_path]))
    assert ",6943217," in csv_text(found)
    assert ",6943217," in runs_csv(found)


def test_the_markdown_holds_tables_warnings_and_what_was_left_out(tmp_path):
    write_matrix(tmp_path)
    write_run(tmp_path / "odd", strategy="ripu", steps=900)
    (write_run(tmp_path / "stopped", strategy="ripu", seed=1) / "summary.json").unlink()
    text = markdown_of(tmp_path)
    assert "| random | 1 % | 3 | 42.0 ± 2.0 | 68.8 ± 2.2 | 1.00 % | 100 | — |" in text
    assert (
        "- another steps: 600 in source only, fully supervised, random, halo; 900 in ripu" in text
    )
    assert f"- `{tmp_path / 'stopped'}`: It has not ended" in text
    title, _, about, _, header, rule, *_ = text.splitlines()
    assert title == "# 19 runs compared"
    assert about.startswith("`scenes:sim → scenes:fog`")
    assert header.count("|") == rule.count("|") == 9


def test_the_markdown_tells_what_picks_the_network_had_wrong(tmp_path):
    # 30 of 60 picks and 200 of 1,000 pixels, in each of two rounds of three runs.
    text = markdown_of(write_whole_matrix(tmp_path))
    assert "Share of the picks that the network had wrong before the round, in %:\n\n" in text
    rounds = " | ".join(["50.0 ± 0.0 (20.0)"] * 3)
    assert f"| random | 1 % | {rounds} | 2.50 | 360 |" in text


def test_runs_without_bounds_and_baseline_leave_dashes(tmp_path):
    write_run(tmp_path / "a", strategy="halo")
    text = in_terminal(tmp_path)
    assert text.startswith("1 run compared: ")
    assert "no run of the baseline" in text.replace("\n", " ")
    assert text.splitlines()[3].split()[5] == "—"
