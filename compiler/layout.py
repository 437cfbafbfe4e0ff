"""Where the elements of an activation tensor lie: rows of pixels, channels innermost and padded to a whole memory word.

The byte address of element (n, c, y, x) relative to the tensor's start is

    ((n*H + y)*W + x) * pixel_bytes + c * element_bytes        pixel_bytes = channels padded to `lanes`, times element_bytes

on chip and in external memory alike, so that a transfer of whole rows is one contiguous copy. Bytes of padded channels hold
anything: weights beside them are the weight zero point, so they contribute nothing.

Machines that compute on vectors of neighbouring pixels keep tensors by planes: `lanes` channels of all pixels of all images, then the next ones. The address
is then

    c // lanes * plane_bytes + ((n*H + y)*W + x) * pixel_bytes + c % lanes * element_bytes        pixel_bytes = lanes * element_bytes
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.errors import CompilerError
from compiler.ir.network import NUMPY_TYPES

ELEMENT_BYTES = {"i8": 1, "u8": 1, "i32": 4, "f32": 4}


@dataclass(frozen=True)
class Layout:
    """Layout of a tensor of `shape` (N, C, H, W) of `dtype`; `lanes` elements are the granule channels are padded to; `planes`: granule by granule.

    >>> Layout((1, 3, 8, 8), "i8", 16).size_bytes
    1024
    """

    shape: tuple[int, int, int, int]
    dtype: str
    lanes: int
    planes: bool = False

    @property
    def element_bytes(self) -> int:
        """Bytes of one element."""
        return ELEMENT_BYTES[self.dtype]

    @property
    def padded_channels(self) -> int:
        """Channels of a pixel, padding included."""
        return -(-self.shape[1] // self.lanes) * self.lanes

    @property
    def pixel_bytes(self) -> int:
        """Bytes between neighbours in x."""
        return (self.lanes if self.planes else self.padded_channels) * self.element_bytes

    @property
    def granule_bytes(self) -> int:
        """Bytes from one granule of channels of a pixel to the next: those of a plane, where there are planes."""
        return self.shape[0] * self.image_bytes if self.planes else self.lanes * self.element_bytes

    @property
    def row_bytes(self) -> int:
        """Bytes between neighbours in y."""
        return self.shape[3] * self.pixel_bytes

    @property
    def image_bytes(self) -> int:
        """Bytes between images of the batch."""
        return self.shape[2] * self.row_bytes

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole tensor."""
        return self.shape[0] * self.image_bytes * (self.padded_channels // self.lanes if self.planes else 1)

    def pack(self, array: np.ndarray) -> bytes:
        """Bytes in memory of an array of the tensor's type and shape (N, C, H, W); padded channels are zero bytes."""
        if array.shape != self.shape or array.dtype != NUMPY_TYPES[self.dtype]:
            raise CompilerError(
                "pack", found=f"{array.dtype} {array.shape}", expected=f"{np.dtype(NUMPY_TYPES[self.dtype])} {self.shape}",
                do="give the array the tensor's type and shape",
            )
        n, c, h, w = self.shape
        padded = np.zeros((n, h, w, self.padded_channels), NUMPY_TYPES[self.dtype])
        padded[..., :c] = array.transpose(0, 2, 3, 1)
        if self.planes:
            padded = padded.reshape(n, h, w, -1, self.lanes).transpose(3, 0, 1, 2, 4)
        return padded.astype(padded.dtype.newbyteorder("<")).tobytes()

    def unpack(self, data: bytes) -> np.ndarray:
        """Array (N, C, H, W) from the tensor's bytes in memory."""
        if len(data) != self.size_bytes:
            raise CompilerError("unpack", found=f"{len(data)} bytes", expected=f"{self.size_bytes}", do="read the whole tensor")
        n, c, h, w = self.shape
        dtype = np.dtype(NUMPY_TYPES[self.dtype])
        padded = np.frombuffer(data, dtype.newbyteorder("<"))
        if self.planes:
            padded = padded.reshape(-1, n, h, w, self.lanes).transpose(1, 2, 3, 0, 4)
        padded = padded.reshape(n, h, w, self.padded_channels)
        return np.ascontiguousarray(padded[..., :c].transpose(0, 3, 1, 2)).astype(dtype)
