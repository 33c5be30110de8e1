from threading import Barrier, Thread

from tests.asked import make_round

from alseg.active.answers import Entry, Journal
from alseg.annotate import Table, open_shares


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
