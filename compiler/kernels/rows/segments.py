"""Kernels of a micro-program one after the other, each with what its instruction needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from compiler.kernels.recipes.rows import RowKernel
from compiler.kernels.rows.values import Rows
from compiler.kernels.rows.writer import Setting

__all__ = ["Band", "Cut", "Pixels", "Segment"]


@dataclass(frozen=True, eq=False)
class Segment:
    """A kernel and what its instruction needs.

    Attributes
    ----------
    shape : RowKernel
    planes : range
        Planes that it reads of each pixel.
    kind : str
        'element', 'pixel' or 'channel': an iteration is a plane of a vector of pixels, a vector of pixels, a plane.
    streams : Mapping[str, str]
        'direct', 'frame', 'sums', 'pixels', 'channels', 'constants', 'planes' -> in-stream.
    direct, sums : str
        The tensor that it reads where it stands; the part of a sum over channels.
    frame, pixels, channels : range
        Vectors that it reads of the frame, of the values one a pixel, and of those one a channel.
    stores : str
        'y', 'frame', 'pixels' or 'channels'; `first` of the vectors that it writes there, of which there are `count`.
    shared, by_plane : tuple
        Constants: vectors, and arrays of a vector a plane.
    settings, numbers
        Parameter sets; sign and zero point of both operands.
    """

    kind: str
    shape: RowKernel
    planes: range
    streams: dict[str, str]
    direct: str
    sums: str
    frame: range
    pixels: range
    channels: range
    stores: str
    first: int
    count: int
    shared: tuple[bytes, ...]
    by_plane: tuple[np.ndarray, ...]
    settings: tuple[Setting, ...]
    numbers: dict[str, tuple[int, int]]


@dataclass(frozen=True, eq=False)
class Band:
    """A product that makes `result`, sums over channels: weights [channels of the result, channels] of the tensor `tensor`, or of what stands at `place` of
    the frame. They are read where they were made, or go to `entered` of the frame (-1: they do not)."""

    result: str
    tensor: str
    place: int
    weights: np.ndarray
    zero: int
    signed: bool
    entered: int


@dataclass(frozen=True, eq=False)
class Pixels:
    """A sum over pixels: of bytes at `place` of the frame, or of the part `sums` of a sum over channels; it goes to `result` of the values one a channel."""

    place: int
    sums: str
    zero: int
    result: int


@dataclass(frozen=True, eq=False)
class Cut:
    """Segments in order; `entered`: tensors that first become values of the frame (or one a pixel), with their vector there; how many vectors of a plane
    of pixels the frame has, of pixels, and of a plane."""

    rows: Rows
    segments: tuple[Segment | Band | Pixels, ...]
    entered: dict[str, int]
    frame: int
    pixels: int
    channels: int
