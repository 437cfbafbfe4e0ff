"""The line buffer and the chain of taps: a word in and a window out a cycle."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["WindowLines", "tap_row"]


def tap_row(tap: int, columns: int, kernel_rows: int) -> int | None:
    """The row, counted up from the newest word's, that a tap is in where kernels have so many columns; None where no kernel has as many rows."""
    return tap // columns if tap // columns < kernel_rows else None


class WindowLines(wiring.Component):
    """A delay line of words in row order, tapped where a window's words lie: tap u of a kernel of k columns is the word that came u // k rows and
    u % k words before the newest. A row is a memory; within a row a register passes on to the next. Which taps begin a row depends on the kernel.

    Members
    -------
    word : In(word_bits)
        The newest word, tap 0 of this cycle.
    move, clear : In(1)
        The line moves on with the coming edge; rows of another length follow, the first word of them in the second cycle from here or later.
    last_word, columns : In
        Words of a row less one, from the cycle after ``clear`` on; columns of the kernel, from two cycles after it on.
    taps : Out(taps * word_bits)
        Tap 0 lowest.
    """

    def __init__(self, *, taps: int, kernel_rows: int, row_words: int, word_bits: int):
        self.number, self.kernel_rows, self.row_words, self.word_bits = taps, kernel_rows, row_words, word_bits
        super().__init__({"word": In(word_bits), "move": In(1), "clear": In(1), "last_word": In(range(max(row_words, 2))), "columns": In(range(taps + 1)),
                          "taps": Out(taps * word_bits)})

    def elaborate(self, platform) -> Module:
        m = Module()
        place, following = (Signal.like(self.last_word, name=name) for name in ("place", "following"))
        m.d.comb += following.eq(Mux(~self.move, place, Mux(place >= self.last_word, 0, place + 1)))
        m.d.sync += place.eq(Mux(self.clear, 0, following))
        rows = [self.word]
        for row in range(1, self.kernel_rows):
            m.submodules[f"row_{row}"] = line = memory.Memory(shape=self.word_bits, depth=self.row_words, init=[])
            write = line.write_port()
            read = line.read_port(transparent_for=[write])
            m.d.comb += [write.en.eq(self.move), write.addr.eq(place), write.data.eq(rows[-1]), read.en.eq(1), read.addr.eq(following)]
            rows.append(read.data)
        values = [self.word]
        for tap in range(1, self.number):
            before = value = Signal(self.word_bits, name=f"tap_{tap}", reset_less=True)
            with m.If(self.move):
                m.d.sync += before.eq(values[-1])
            for columns in range(1, tap + 1):
                row = tap_row(tap, columns, self.kernel_rows)
                if row is not None and tap % columns == 0:
                    value = Mux(self.columns == columns, rows[row], value)
            values.append(value)
        m.d.comb += self.taps.eq(Cat(values))
        return m
