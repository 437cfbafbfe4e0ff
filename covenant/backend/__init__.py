"""Covenant as a backend of ONNX, and onnx's own node tests on it."""

from covenant.backend.backend import CovenantBackend, CovenantRep
from covenant.backend.suite import Verdict, judge_case, markdown, passed_in, run_suite

__all__ = ["CovenantBackend", "CovenantRep", "Verdict", "judge_case", "markdown", "passed_in", "run_suite"]
