"""Random small architectures: sizes that share nothing, memories that hold next to nothing, nodes with other names."""

from __future__ import annotations

import numpy as np

from acg.graph import Graph, parse_graph

TEXT = """
name: {name}
summary: drawn at random
control:
  discipline: queued
  queue_depth: {queue}
  fetch: {{memory: {p}ext, outstanding_bursts: 2}}
memories:
  {p}ext: {{kind: external, size_bytes: 33554432, bus_bits: {bus}, address_bits: 32, read_latency_cycles: {latency}, write_latency_cycles: 5}}
  {p}in: {{kind: scratchpad, element: i8, lanes: {act_lanes}, banks: {act_banks}, depth_words: {act_depth}, read_latency_cycles: 1}}
  {p}coef: {{kind: scratchpad, element: i8, lanes: {wgt_lanes}, banks: {wgt_banks}, depth_words: {wgt_depth}, read_latency_cycles: 2}}
  {p}sums: {{kind: scratchpad, element: i32, lanes: {acc_lanes}, banks: {acc_banks}, depth_words: {acc_depth}, read_latency_cycles: 1}}
  {p}consts: {{kind: scratchpad, element: i32, lanes: {par_lanes}, banks: 2, depth_words: {par_depth}, read_latency_cycles: 1}}
  {p}tab: {{kind: table, element: i8, entries: 256, banks: {lut_banks}}}
engines:
  {p}v:
    kind: vector
    lanes: {v}
    capabilities:
      - (i32,{v})=MAC((i9,{v}),(i9,{v}))
      - (i32,{v})=SUM((i9,{v}))
      - (i32,{v})=MAXIMUM((i9,{v}))
      - (f32,{v})=ADD((f32,{v}),(f32,{v}))
      - (i8,{v})=REQUANTIZE((f32,{v}),(f32,{v}))
      - (i8,{v})=TABLE((i8,{v}))
  {p}out: {{kind: store, outstanding_bursts: 2, capabilities: ["(i8,4)=COPY((i8,4))"]}}
  {p}mm:
    kind: matrix
    organisation: systolic
    rows: {rows}
    columns: {columns}
    capabilities: ["(i32,{columns})=MATMUL((i9,{rows}),(i9,{rows},{columns}))"]
  {p}get: {{kind: load, outstanding_bursts: 3, capabilities: ["(i8,4)=COPY((i8,4))"]}}
links:
  - {{from: {p}ext, to: {p}get, port: source}}
  - {{from: {p}get, to: {p}tab, port: destination}}
  - {{from: {p}get, to: {p}coef, port: destination}}
  - {{from: {p}get, to: {p}in, port: destination}}
  - {{from: {p}get, to: {p}consts, port: destination}}
  - {{from: {p}in, to: {p}mm, port: activation}}
  - {{from: {p}coef, to: {p}mm, port: weight}}
  - {{from: {p}sums, to: {p}mm, port: accumulator}}
  - {{from: {p}mm, to: {p}sums, port: result}}
  - {{from: {p}in, to: {p}v, port: a}}
  - {{from: {p}sums, to: {p}v, port: a}}
  - {{from: {p}coef, to: {p}v, port: b}}
  - {{from: {p}in, to: {p}v, port: b}}
  - {{from: {p}consts, to: {p}v, port: parameter}}
  - {{from: {p}tab, to: {p}v, port: table}}
  - {{from: {p}v, to: {p}in, port: y}}
  - {{from: {p}sums, to: {p}out, port: source}}
  - {{from: {p}in, to: {p}out, port: source}}
  - {{from: {p}out, to: {p}ext, port: destination}}
"""


def random_architecture(seed: int, *, prefix: str = "") -> Graph:
    """An architecture that the checks accept; equal seeds differ by the prefix of the node names only."""
    rng = np.random.default_rng(seed)

    def pick(*values: int) -> int:
        return int(values[int(rng.integers(len(values)))])

    v, rows, columns = pick(2, 4, 8), pick(2, 4, 8), pick(2, 4, 8)
    act_lanes = max(v, rows) * pick(1, 2)
    wgt_lanes, acc_lanes = (max(v, columns) * pick(1, 2) for _ in range(2))
    text = TEXT.format(
        name=f"random{seed}", p=prefix, queue=pick(2, 3, 8), bus=pick(32, 64, 128), latency=pick(1, 7, 30), v=v, rows=rows, columns=columns,
        act_lanes=act_lanes, act_banks=pick(3, 4, 5), act_depth=pick(512, 1024, 4096) // act_lanes, wgt_lanes=wgt_lanes, wgt_banks=pick(1, 2, 3),
        wgt_depth=max(rows * columns, pick(64, 512, 2048)) // wgt_lanes, acc_lanes=acc_lanes, acc_banks=pick(1, 2, 3),
        acc_depth=pick(4, 16, 64), par_lanes=2 * v, par_depth=pick(1, 2, 16), lut_banks=pick(1, 2),
    )
    return parse_graph(text, name=f"random{seed}")
