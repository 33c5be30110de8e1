import pytest
from tests.helpers.asked import make_round
from tests.helpers.served import serve

from alseg.queries.answers import Entry, Journal, latest
from alseg.queries.settling import settle

ONE, TWO, THREE, FOUR = (f"r001-q{number:06d}" for number in range(1, 5))


@pytest.fixture
def asked(tmp_path):
    """Anna and Ben agree on the first, differ on the second, and Anna alone answered the third."""
    asked = make_round(tmp_path)
    Journal(asked, "anna").append([Entry(ONE, 1), Entry(TWO, 2), Entry(THREE, 1)])
    Journal(asked, "ben").append([Entry(ONE, 1), Entry(TWO, 3)])
    return asked


@pytest.fixture
def client(asked):
    with serve(asked) as client:
        yield client


def listed(client, query=""):
    status, content = client.get(f"/api/review?{query}")
    assert status == 200
    return [item["id"] for item in content["items"]], content


def test_disagreements_come_first(client):
    assert listed(client, "show=all")[0] == [TWO, ONE, THREE]
    names, content = listed(client, "show=disagreements")
    assert (names, content["open"], content["total"]) == ([TWO], 1, 1)
    item = content["items"][0]
    assert item["votes"] == [{"person": "anna", "answer": 2}, {"person": "ben", "answer": 3}]
    assert (item["tied"], item["answer"], item["review"]) == (True, None, None)


def test_answers_are_listed_by_class(client):
    assert listed(client, "show=answer&answer=1")[0] == [ONE, THREE]
    assert listed(client, "show=answer&answer=2")[0] == []
    client.answer(ONE, "void", person="review")
    assert listed(client, "show=answer&answer=void")[0] == [ONE]
    assert listed(client, "show=answer&answer=1")[0] == [THREE]


def test_a_correction_settles_and_can_be_taken_back(client, asked):
    status, item = client.answer(TWO, 4, person="review")
    assert status == 200
    assert (item["answer"], item["review"], item["revision"]) == (4, 4, 1)
    assert settle(asked).answers[TWO] == 4
    assert listed(client, "show=disagreements")[1]["open"] == 0
    assert client.answer(TWO, None, revision=1, person="review")[0] == 200
    assert settle(asked).disputed == [TWO]
    assert latest(asked)["anna"] == {ONE: 1, TWO: 2, THREE: 1}


def test_a_stale_correction_is_refused(client, asked):
    client.answer(TWO, 4, person="review")
    status, item = client.answer(TWO, 0, person="review")
    assert (status, item["answer"]) == (409, 4)
    assert client.answer(ONE, None, person="review")[0] == 409
    assert settle(asked).answers[TWO] == 4


def test_the_parts_of_a_window_that_is_corrected_to_mixed_are_listed(client, asked):
    client.answer(ONE, "mixed", person="review")
    parts = [f"{ONE}.{number}" for number in (1, 2, 3, 4)]
    assert listed(client, "show=all")[0] == [TWO, ONE, *parts, THREE]
    assert listed(client, "show=open")[0] == parts
    assert ONE in settle(asked).missing
    for part in parts:
        assert client.answer(part, 0, person="review")[0] == 200
    assert listed(client, "show=open")[0] == []
    assert settle(asked).answers[ONE] == "mixed"


def test_a_long_list_is_sent_in_pieces(tmp_path):
    asked = make_round(tmp_path, 120)
    Journal(asked, "anna").append([Entry(query.id, 1) for query in asked.queries])
    with serve(asked) as client:
        names = [query.id for query in asked.queries]
        assert listed(client)[0] == names[:50]
        assert listed(client, "show=all&start=100")[0] == names[100:]
        assert listed(client, "show=all&start=999")[0] == []


@pytest.mark.parametrize("query", ["show=roads", "start=-1", "start=x", "start=9999999999"])
def test_a_list_that_is_none_is_refused(client, query):
    assert client.get(f"/api/review?{query}")[0] == 400


def test_agreement_is_told_with_the_list(tmp_path):
    asked = make_round(tmp_path)
    with serve(asked, "anna,ben", 1.0) as client:
        for person, answers in {"anna": [1, 2], "ben": [1, 3]}.items():
            for query, answer in zip((ONE, TWO), answers, strict=True):
                assert client.answer(query, answer, person=person)[0] == 200
        agreement = listed(client)[1]["agreement"]
    assert (agreement["asked"], agreement["answered"], agreement["equal"]) == (6, 2, 0.5)
    assert agreement["kappa"] == pytest.approx((0.5 - 0.25) / 0.75)


def test_people_answer_only_their_own_share(tmp_path):
    asked = make_round(tmp_path)
    with serve(asked, "anna,ben") as client:
        assert [query["id"] for query in client.state("ben")["ahead"]] == [
            TWO,
            FOUR,
            "r001-q000006",
        ]
        assert client.answer(ONE, 1, person="ben")[0] == 409
        for query in (TWO, FOUR, "r001-q000006"):
            state = client.answer(query, 1, person="ben")[1]
        assert (state["ahead"], state["others"]) == ([], 3)
