"""``--fallback host``: what no engine can do runs on onnxruntime between accelerator segments.

    prepare     one graph with constants folded, unique node names and a DequantizeLinear a reader
    partition   nodes into units that only 8-bit tensors join, units into segments that alternate between accelerator and host
    extract     a segment as an ONNX model of its own
    plan        segments compiled, what a compilation refuses moved to the host, until everything has a place
    execute     the segments in turn, judged one by one and against onnxruntime's run of the whole network
    write       the segments as files
    read        the plan from these files
"""

from covenant.fallback.execute import run_plan
from covenant.fallback.plan import Plan, Segment, make_plan
from covenant.fallback.read import is_plan, open_plan
from covenant.fallback.show import placement_text, run_text, warn_if_idle
from covenant.fallback.write import write_plan

__all__ = ["Plan", "Segment", "is_plan", "make_plan", "open_plan", "placement_text", "run_plan", "run_text", "warn_if_idle", "write_plan"]
