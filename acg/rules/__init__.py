"""What an instruction must keep beyond what its fields can hold: stated here once, for loaders, the functional simulator and the manual.

`choices`      fields that choose a memory, a table or an operation: which of their values exist. The machine answers the others with ILLEGAL.
`excess`       fields that together ask for more than a unit has. The machine answers them with ILLEGAL too.
`effort`       how much one instruction may ask for. The machine does not mind; nobody would wait for it.
`order`        no part of an instruction may depend on the moment at which another part of it writes. The machine does not look.

Addresses beyond a memory and bank conflicts follow from :mod:`acg.footprint`, waits from :mod:`acg.predictor`.
"""

from acg.rules.choices import Code, absent, codes
from acg.rules.effort import LEAST_BOUND, REPEATS, most_work, work
from acg.rules.excess import Excess, exceeded, limits
from acg.rules.order import order_fault

__all__ = ["LEAST_BOUND", "REPEATS", "Code", "Excess", "absent", "codes", "exceeded", "limits", "most_work", "order_fault", "work"]
