from threading import Barrier, Thread

import pytest
from tests.helpers.asked import make_round

from alseg.annotate import Table, open_shares
from alseg.annotate.table import Stale
from alseg.queries.answers import REVIEW, Entry, Journal
from alseg.queries.settling import settle


def test_pages_that_finish_together_do_not_wait_for_each_other(tmp_path):
    asked = make_round(tmp_path)
    shares = open_shares(asked, "anna,ben")
    for name, mine in shares.queries.items():
        Journal(asked, name).append([Entry(query, 1) for query in mine])
    table, start = Table(asked, shares), Barrier(2)
    ended = []

    def look(name):
        start.wait(20)
        for _ in range(300):
            assert table.state(name)["others"] == 0
        ended.append(name)

    # Daemons, so that two that wait for each other for ever fail the test and do not hold it up.
    threads = [Thread(target=look, args=(name,), daemon=True) for name in shares.people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(ended) == ["anna", "ben"]


def names(state):
    return [question["id"] for question in state["ahead"]]


def test_the_parts_of_a_window_that_a_correction_made_mixed_are_asked(tmp_path):
    asked = make_round(tmp_path)
    shares = open_shares(asked, "anna,ben")
    for name, mine in shares.queries.items():
        Journal(asked, name).append([Entry(query, 1) for query in mine])
    table, two = Table(asked, shares), "r001-q000002"
    assert two in shares.queries["ben"]
    table.answer(REVIEW, two, 0, "mixed", 0.0)
    anna, ben = table.state("anna"), table.state("ben")
    assert (names(anna), anna["others"]) == ([], 1)
    assert names(ben) == [f"{two}.{number}" for number in (1, 2, 3, 4)]
    with pytest.raises(Stale, match="not asked of anna"):
        table.answer("anna", f"{two}.1", 0, 1, 0.0)
    for number in (1, 2, 3, 4):
        assert len(settle(asked).missing) == 1
        table.answer("ben", f"{two}.{number}", 0, number, 1.0)
    assert settle(asked).answers[two] == "mixed"
    ben = table.state("ben")
    assert (names(ben), ben["others"], ben["done"], ben["total"]) == ([], 0, 3, 3)
    table.answer("ben", f"{two}.4", 1, None, 0.0)
    # After a restart, too.
    for one in (table, Table(asked, shares)):
        assert names(one.state("ben")) == [f"{two}.4"]
        assert one.state("anna")["others"] == 1
