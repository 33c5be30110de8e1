import json
import os
import signal
import subprocess
import sys

from tests.helpers import annotate_command
from tests.helpers.asked import journal, make_round

from alseg.annotate import next_command, open_shares
from alseg.cli.main import main
from alseg.queries.answers import Entry, Journal, latest

ONE, TWO, THREE = "r001-q000001", "r001-q000002", "r001-q000003"


start = annotate_command.start


def test_a_killed_server_loses_and_doubles_nothing(tmp_path, start):
    asked = make_round(tmp_path)
    command = start(tmp_path)
    client = command.client()
    assert client.answer(ONE, 1)[0] == 200
    assert client.answer(TWO, "mixed")[0] == 200
    command.stop(signal.SIGKILL)
    again = start(tmp_path)
    client = again.client()
    # The page could not hear that its answer arrived, and sends it again.
    status, state = client.answer(TWO, "mixed")
    assert (status, state["last"]) == (409, {"id": TWO, "revision": 1, "answer": "mixed"})
    assert client.answer(f"{TWO}.1", 3)[0] == 200
    assert again.stop() == 0
    assert f"every answer is kept in {tmp_path}" in again.lines[-1]
    assert journal(asked) == [(ONE, 1), (TWO, "mixed"), (f"{TWO}.1", 3)]


def test_open_pages_go_on_after_a_restart(tmp_path, start):
    make_round(tmp_path)
    command = start(tmp_path)
    token = command.client().token
    command.stop()
    assert start(tmp_path).client().token == token


def test_an_answer_that_was_half_written_is_asked_again(tmp_path, start):
    asked = make_round(tmp_path)
    Journal(asked, "annotator-1").append([Entry(ONE, 1)])
    path = Journal(asked, "annotator-1").path
    with path.open("ab") as file:
        file.write(b'{"query": "r001-q0000')
    client = start(tmp_path).client()
    assert client.state()["ahead"][0]["id"] == TWO
    assert client.answer(TWO, 2)[0] == 200
    assert latest(asked) == {"annotator-1": {ONE: 1, TWO: 2}}
    assert all(json.loads(line) for line in path.read_text().splitlines())


def test_a_round_of_many_queries_is_answered_to_its_end(tmp_path, start):
    asked = make_round(tmp_path, 10_000)
    answered = [query.id for query in asked.queries[:9_997]]
    Journal(asked, "annotator-1").append([Entry(name, 1, 2.0) for name in answered])
    command = start(tmp_path)
    client = command.client()
    state = client.state()
    assert (state["done"], state["total"], len(state["ahead"])) == (9_997, 10_000, 3)
    for query in state["ahead"]:
        assert client.answer(query["id"], 4)[0] == 200
    assert command.until("Go on with") == f"Go on with: {next_command(tmp_path)}"
    assert client.get("/api/review?show=all&start=9950")[1]["total"] == 10_000
    assert len(latest(asked)["annotator-1"]) == 10_000


def test_parts_that_an_import_left_open_are_told_and_asked(tmp_path, start):
    asked = make_round(tmp_path, 2)
    Journal(asked, "annotator-1").append([Entry(ONE, 1), Entry(TWO, 1)])
    Journal(asked, "review").append([Entry(TWO, "mixed")])
    command = start(tmp_path)
    client = command.client()
    assert command.until("parts").startswith("1 mixed query has parts without an answer")
    for number in (1, 2, 3, 4):
        assert client.state()["ahead"][0]["id"] == f"{TWO}.{number}"
        assert client.answer(f"{TWO}.{number}", 0)[0] == 200
    command.until("All queries are answered")


def test_two_servers_on_one_round_are_refused(tmp_path, start, capsys):
    make_round(tmp_path)
    start(tmp_path).client()
    assert main(["annotate", str(tmp_path), "--no-browser"]) == 2
    refusal = capsys.readouterr().err
    assert refusal.startswith("alseg annotate: Round 1 is being answered: stop `alseg annotate`")
    assert f"remove {tmp_path}/queries/round-001/answers/.lock" in refusal


def test_nothing_is_imported_while_a_server_runs(tmp_path, start, capsys):
    asked = make_round(tmp_path)
    (tmp_path / "answers.csv").write_text(f"query,answer\n{ONE},road\n")
    do_import = ["import", str(tmp_path), str(tmp_path / "answers.csv")]
    command = start(tmp_path)
    command.client()
    assert main(do_import) == 2
    assert "being answered: stop `alseg annotate` first" in capsys.readouterr().err
    assert latest(asked) == {}
    assert command.stop() == 0
    assert main(do_import) == 0
    assert latest(asked) == {"import": {ONE: 0}}


def test_the_newest_round_is_asked(tmp_path, start):
    make_round(tmp_path)
    make_round(tmp_path, 4, number=2)
    command = start(tmp_path)
    assert command.client().state()["ahead"][0]["id"] == "r002-q000001"
    assert command.lines[0] == "Round 2: 4 queries"


def test_a_closed_round_is_told_and_not_opened(tmp_path, capsys):
    asked = make_round(tmp_path)
    (tmp_path / "labels/round-001").mkdir(parents=True)
    assert main(["annotate", str(tmp_path), "--no-browser"]) == 0
    assert capsys.readouterr().out.startswith(f"Round 1 of {tmp_path} is closed")
    assert not (asked.folder / "answers").exists()


def test_a_round_that_closes_meanwhile_takes_no_more_answers(tmp_path, start):
    make_round(tmp_path)
    client = start(tmp_path).client()
    (tmp_path / "labels/round-001").mkdir(parents=True)
    assert client.answer(ONE, 1)[0] == 410


def test_a_run_that_asks_nobody_is_refused(tmp_path, capsys):
    assert main(["annotate", str(tmp_path)]) == 2
    assert "has no queries for people" in capsys.readouterr().err


def test_whoever_listens_for_all_is_warned(tmp_path):
    make_round(tmp_path)
    program = [sys.executable, "-u", "-m", "alseg.cli.main", "annotate", str(tmp_path)]
    more = ["--no-browser", "--port", "0", "--host", "0.0.0.0"]
    process = subprocess.Popen([*program, *more], stderr=subprocess.PIPE, text=True)
    try:
        assert "nothing is encrypted" in process.stderr.readline()
    finally:
        process.kill()
        process.communicate()


def test_the_report_tells_agreement_and_disagreements(tmp_path, capsys):
    asked = make_round(tmp_path)
    main(["annotate", str(tmp_path), "--report"])
    assert "Agreement needs two people" in capsys.readouterr().out
    open_shares(asked, "anna,ben", 1.0)
    Journal(asked, "anna").append([Entry(ONE, 1), Entry(TWO, 2), Entry(THREE, "void")])
    Journal(asked, "ben").append([Entry(ONE, 1), Entry(TWO, 3)])
    assert main(["annotate", str(tmp_path), "--report"]) == 0
    query = asked.queries[1]
    assert capsys.readouterr().out.splitlines() == [
        "anna: 3 of 6 answered",
        "ben: 2 of 6 answered",
        "agreement: Cohen's kappa 0.333; 50.0% of the answers are the same, on 2 of 6 common "
        "queries",
        "different answers: 1",
        f"  {TWO}  city/b row {query.row} column {query.column}: anna sky, ben car",
    ]


def test_what_comes_next_depends_on_the_run(tmp_path):
    run = tmp_path / "my run"
    run.mkdir()
    assert next_command(run) == f"alseg labels export '{run}' -o 'my run-labels'"
    (run / "config.yaml").touch()
    assert next_command(run) == f"alseg fit --resume '{run}'"


def test_the_command_starts_without_the_training_stack(tmp_path):
    make_round(tmp_path)
    program = (
        "import sys\nfrom alseg.cli.main import main\n"
        f"main(['annotate', {str(tmp_path)!r}, '--report'])\n"
        "import alseg.annotate, alseg.annotate.server\n"
        "print(*sorted({'torch', 'lightning', 'albumentations'} & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=dict(os.environ)
    )
    assert run.stdout.splitlines()[-1:] == [""], run.stderr
