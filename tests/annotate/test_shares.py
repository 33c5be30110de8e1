import errno
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.helpers.asked import make_round
from tests.helpers.disks import FaultyDisk

from alseg.annotate import deal, open_shares
from alseg.annotate.shares import names_of
from alseg.errors import ConfigError, LabelStoreError
from alseg.queries.answers import Entry, Journal


@pytest.fixture(scope="module")
def asked(tmp_path_factory):
    return make_round(tmp_path_factory.mktemp("run"), 40)


@given(count=st.integers(1, 7), overlap=st.floats(0, 1, allow_nan=False))
def test_every_query_goes_to_one_person_or_to_everybody(asked, count, overlap):
    overlap = overlap if count > 1 else 0.0
    names = [f"p{number}" for number in range(count)]
    shares = deal(asked, names, overlap)
    times = {query.id: 0 for query in asked.queries}
    for mine in shares.queries.values():
        for query in mine:
            times[query] += 1
        # In the order of the round, whose names rise.
        assert list(mine) == sorted(mine)
    common = set(shares.overlap)
    # As near to the part that was asked for as whole queries allow.
    assert abs(len(common) - 40 * overlap) <= 0.5
    assert all(times[query] == (count if query in common else 1) for query in times)
    sizes = [len(mine) for mine in shares.queries.values()]
    assert max(sizes) - min(sizes) <= 1


def test_common_queries_are_spread_over_the_round(asked):
    shares = deal(asked, ["anna", "ben"], 0.1)
    assert shares.overlap == ("r001-q000001", "r001-q000011", "r001-q000021", "r001-q000031")
    assert shares.queries["anna"][:4] == tuple(f"r001-q{n:06d}" for n in (1, 2, 4, 6))


@pytest.mark.parametrize("overlap", [-0.1, 1.1, float("nan")])
def test_an_overlap_that_is_no_part_is_refused(asked, overlap):
    with pytest.raises(ConfigError, match="from 0 to 1"):
        deal(asked, ["anna", "ben"], overlap)


@pytest.mark.parametrize("annotators", [None, "1", "anna"])
def test_an_overlap_of_one_person_is_refused(tmp_path, annotators):
    asked = make_round(tmp_path)
    with pytest.raises(ConfigError, match=r"--overlap 0\.1 .* alone answers\. Name two people"):
        open_shares(asked, annotators, 0.1)
    assert open_shares(asked, annotators, 0.0).overlap == ()


def test_people_are_a_number_or_names():
    assert names_of("2") == ("annotator-1", "annotator-2")
    assert names_of("anna, ben") == ("anna", "ben")


@pytest.mark.parametrize(
    "text",
    ["", "0", "100", "-1", "anna,", "a/b", "../x", "review", "Review", "import", "anna,3", "é"],
)
def test_names_that_cannot_be_used_are_refused(text):
    with pytest.raises(ConfigError, match="no name that can be used"):
        names_of(text)


def test_nobody_is_named_twice_in_capitals_either():
    with pytest.raises(ConfigError, match="somebody twice"):
        names_of("anna,Anna")


def test_shares_are_the_same_after_a_restart(tmp_path):
    asked = make_round(tmp_path, 20)
    first = open_shares(asked, "anna,ben,cleo", 0.2)
    assert open_shares(asked) == first
    Journal(asked, "ben").append([Entry("r001-q000001", 1)])
    assert open_shares(asked) == first
    assert open_shares(asked, "anna,ben,cleo") == first
    assert open_shares(asked, "anna,ben,cleo", 0.2) == first


def test_shares_are_dealt_anew_while_nobody_has_answered(tmp_path):
    asked = make_round(tmp_path, 20)
    open_shares(asked)
    assert open_shares(asked, "anna,ben").people == ("anna", "ben")


@pytest.mark.parametrize(("annotators", "overlap"), [("3", None), (None, 0.5), ("ben,anna", 0.2)])
def test_other_shares_are_refused_once_somebody_has_answered(tmp_path, annotators, overlap):
    asked = make_round(tmp_path, 20)
    kept = open_shares(asked, "anna,ben", 0.2)
    Journal(asked, "ben").append([Entry("r001-q000001", 1)])
    with pytest.raises(ConfigError, match=r"dealt to anna, ben, with 4 queries.*remove .*shares"):
        open_shares(asked, annotators, overlap)
    assert open_shares(asked) == kept


def test_shares_that_cannot_be_written_leave_those_of_before(tmp_path, monkeypatch):
    asked = make_round(tmp_path)
    kept = open_shares(asked, "anna,ben")
    FaultyDisk(monkeypatch, tmp_path, errno.ENOSPC, "*shares.json*")
    with pytest.raises(LabelStoreError, match="No space left on device"):
        open_shares(asked, "cleo")
    assert open_shares(asked) == kept
    assert [path.name for path in (asked.folder / "answers").iterdir()] == ["shares.json"]


def test_damaged_shares_are_noticed(tmp_path):
    asked = make_round(tmp_path)
    open_shares(asked, "anna,ben")
    path = asked.folder / "answers/shares.json"
    content = json.loads(path.read_text())
    content["queries"]["anna"].append("r001-q000002")
    path.write_text(json.dumps(content))
    with pytest.raises(LabelStoreError, match=r"shares\.json cannot be used.*the answers stay"):
        open_shares(asked)
