"""The error of a simulated machine: what the hardware would report in its error registers."""

__all__ = ["MachineError"]


class MachineError(Exception):
    """An instruction did what the hardware answers with an error code and a halt.

    Attributes
    ----------
    code : int
        ``acg.regmap.ErrorCode`` value.
    address : int
        Address of the offending access in port words (DMA: bytes).
    """

    def __init__(self, code: int, address: int, message: str):
        super().__init__(message)
        self.code = code
        self.address = address
