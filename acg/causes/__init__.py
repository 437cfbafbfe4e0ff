"""Where the cycles of a program go: what each engine waits for, and the chain of events that decides how long the whole takes.

    events      of each instruction: from when its engine could have taken it, start, retire
    conflicts   why one instruction awaits another
    idle        every cycle of every engine: busy, or idle because of what
    critical    the critical path: segments that add up to the total
"""

from acg.causes.binding import Binding, bindings
from acg.causes.conflicts import Cause
from acg.causes.critical import Segment, critical_path
from acg.causes.events import Spans, spans
from acg.causes.idle import EngineCycles, engine_cycles

__all__ = ["Binding", "Cause", "EngineCycles", "Segment", "Spans", "bindings", "critical_path", "engine_cycles", "spans"]
