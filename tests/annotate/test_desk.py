import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.helpers.asked import make_round

from alseg.annotate.desk import Desk
from alseg.queries.answers import LONGEST_LOOK, Journal

SAID = st.sampled_from([0, 3, "mixed", "void", "skip", None, None])


@pytest.fixture(scope="module")
def rounds(tmp_path_factory):
    return {
        split: make_round(tmp_path_factory.mktemp(split), 5, split=split)
        for split in ("quadrants", "pixels", "drop")
    }


def questions(asked, share, said):
    """What is still to be asked, found by going through all from the start."""
    found = []
    for query in asked.queries:
        if query.id not in share:
            continue
        if query.id not in said:
            found.append(query.id)
        elif said[query.id] == "mixed":
            found += [part.id for part in asked.parts(query) if part.id not in said]
    return found


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(SAID, max_size=40), split=st.sampled_from(["quadrants", "pixels", "drop"]))
def test_answers_and_steps_back_leave_what_a_plain_list_leaves(rounds, steps, split):
    asked = rounds[split]
    Journal(asked, "anna").path.unlink(missing_ok=True)
    share = [query.id for query in asked.queries if query.id != "r001-q000002"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("os.fsync", lambda descriptor: None)
        desk, history = Desk(asked, "anna", share), []
        for step in steps:
            if step is None:
                if history:
                    assert desk.last == history[-1][0]
                    desk.put(history.pop()[0], None, 0.0)
            elif desk.ahead(1):
                name = desk.ahead(1)[0].id
                assert desk.may_answer(name)
                desk.put(name, step, 1.0)
                history.append((name, step))
            for now in (desk, Desk(asked, "anna", share)):
                said = dict(history)
                assert now.said == said
                left = questions(asked, share, said)
                assert [query.id for query in now.ahead(99)] == left
                assert now.total - now.done == len({name.partition(".")[0] for name in left})
                assert now.last == (history[-1][0] if history else None)


def test_the_pace_is_that_of_late_and_without_breaks(tmp_path):
    asked = make_round(tmp_path, 40)
    desk = Desk(asked, "anna", [query.id for query in asked.queries])
    assert desk.pace is None
    desk.put("r001-q000001", 1, 3600.0)
    assert desk.pace == LONGEST_LOOK == 60
    for query in asked.queries[1:35]:
        desk.put(query.id, 1, 2.0)
    assert desk.pace == 2
    assert Desk(asked, "anna", [query.id for query in asked.queries]).pace == 2


def test_nothing_is_asked_of_somebody_whose_share_is_empty(tmp_path):
    desk = Desk(make_round(tmp_path), "anna", [])
    assert (desk.ahead(5), desk.total, desk.done) == ([], 0, 0)
    assert not desk.may_answer("r001-q000001")
