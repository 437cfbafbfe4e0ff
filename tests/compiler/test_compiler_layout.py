"""Layout of activation tensors: addresses, packing, unpacking."""

import numpy as np
import pytest

from compiler.errors import CompilerError
from compiler.layout import Layout


@pytest.mark.parametrize("dtype,numpy_type", [("i8", np.int8), ("u8", np.uint8), ("i32", np.int32)])
@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 4, 5), (1, 16, 3, 2), (3, 17, 1, 7)])
def test_pack_places_every_element_where_the_layout_says(dtype, numpy_type, shape):
    layout = Layout(shape, dtype, 16)
    info = np.iinfo(numpy_type)
    array = np.random.default_rng(1).integers(info.min, info.max, shape, dtype=np.int64, endpoint=True).astype(numpy_type)
    data = layout.pack(array)
    assert len(data) == layout.size_bytes == shape[0] * shape[2] * shape[3] * -(-shape[1] // 16) * 16 * layout.element_bytes
    for n, c, y, x in np.ndindex(*shape):
        address = n * layout.image_bytes + y * layout.row_bytes + x * layout.pixel_bytes + c * layout.element_bytes
        assert int.from_bytes(data[address : address + layout.element_bytes], "little", signed=dtype != "u8") == array[n, c, y, x]
    np.testing.assert_array_equal(layout.unpack(data), array)


def test_a_wrong_array_is_refused():
    with pytest.raises(CompilerError) as error:
        Layout((1, 2, 3, 4), "i8", 4).pack(np.zeros((1, 2, 3, 5), np.int8))
    assert str(error.value) == "pack: found int8 (1, 2, 3, 5); expected int8 (1, 2, 3, 4); give the array the tensor's type and shape"


def test_a_wrong_size_is_refused():
    with pytest.raises(CompilerError) as error:
        Layout((1, 2, 1, 1), "i8", 4).unpack(b"abc")
    assert str(error.value) == "unpack: found 3 bytes; expected 4; read the whole tensor"
