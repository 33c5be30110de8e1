"""From values in label files to train ids."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from alseg.data import LabelSpace
from alseg.data.mapping import LabelMapping
from alseg.errors import DatasetError

SPACE = LabelSpace("yard", ("floor", "shelf", "person"), ((0, 0, 0), (9, 9, 9), (5, 0, 0)))


@settings(deadline=None)
@given(
    table=st.dictionaries(
        st.integers(0, 65535), st.sampled_from((*SPACE.classes, "void")), min_size=1, max_size=9
    ),
    data=st.data(),
)
def test_every_value_becomes_the_id_of_its_class(table, data):
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 5)))
    chosen = data.draw(arrays(np.int32, shape, elements=st.sampled_from(sorted(table))))
    ids = LabelMapping(table, SPACE)(chosen, "a.png")
    assert ids.dtype == np.uint8
    for value, train_id in zip(chosen.ravel().tolist(), ids.ravel().tolist(), strict=True):
        name = table[value]
        assert train_id == (255 if name == "void" else SPACE.classes.index(name))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_values_outside_are_counted_and_the_allowed_ones_listed(dtype):
    mapping = LabelMapping({0: "floor", 1: "shelf", 2: "void", 9: "person"}, SPACE)
    values = np.array([[0, 1, 7], [7, 200, 9]], dtype=dtype)
    with pytest.raises(DatasetError) as error:
        mapping(values, "masks/a.png")
    message = str(error.value)
    assert message.startswith("masks/a.png holds label values outside the list of 'yard'")
    assert "7 (2 pixels), 200 (1 pixels)." in message
    assert "Allowed are 0-2, 9." in message


@pytest.mark.parametrize("value", [-1, 70000])
def test_values_beyond_16_bits_are_outside(value):
    with pytest.raises(DatasetError, match=rf"{value} \(1 pixels\)"):
        LabelMapping.identity(SPACE)(np.array([[0, value]], dtype=np.int32), "a.png")


def test_without_a_mapping_values_are_train_ids_and_255_is_void():
    values = np.array([[0, 1, 2, 255]], dtype=np.uint8)
    assert np.array_equal(LabelMapping.identity(SPACE)(values, "a.png"), values)
    with pytest.raises(DatasetError, match=r"3 \(1 pixels\).*Allowed are 0-2, 255"):
        LabelMapping.identity(SPACE)(np.array([[3]], dtype=np.uint8), "a.png")


def test_a_long_list_of_values_is_cut_short():
    with pytest.raises(DatasetError, match="and 34 other values"):
        LabelMapping({255: "void"}, SPACE)(np.arange(40, dtype=np.uint8)[None], "a.png")


def test_a_misspelt_class_is_caught_before_any_file_is_read():
    with pytest.raises(DatasetError, match=r"'shelv', which is not a class.*Did you mean 'shelf'"):
        LabelMapping({3: "shelv"}, SPACE)


@pytest.mark.parametrize("value", ["3", True, -1, 65536, 1.5])
def test_a_key_that_is_no_label_value_is_refused(value):
    with pytest.raises(DatasetError, match="whole numbers of 0 to 65535"):
        LabelMapping({value: "floor"}, SPACE)
