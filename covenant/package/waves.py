"""WaveDrom figures (WaveJSON) of the integration guide: what a bus engineer asks first."""

import json

__all__ = ["figures"]


def _signal(name: str, wave: str, *data: str) -> dict:
    return {"name": name, "wave": wave} | ({"data": list(data)} if data else {})


def figures() -> dict[str, str]:
    """Text of each figure by the stem of its file."""
    drawn = {
        "register_write": ("An AXI4-Lite write: accepted when address and data are both offered; one at a time; the register has its value in the next cycle", [
            _signal("aclk", "p......"), _signal("awvalid", "01.0..."), _signal("awaddr", "x3.x...", "offset"), _signal("wvalid", "0.10..."),
            _signal("wdata", "x.4x...", "value"), _signal("awready, wready", "0.10..."), _signal("bvalid", "0..10.."), _signal("bready", "0..10.."),
            _signal("register", "5..6...", "old", "new")]),
        "register_read": ("An AXI4-Lite read: the answer comes in the cycle after the address and waits for rready", [
            _signal("aclk", "p......"), _signal("arvalid", "010...."), _signal("araddr", "x3x....", "offset"), _signal("arready", "1.0..1."),
            _signal("rvalid", "0.1..0."), _signal("rdata", "x.4..x.", "value"), _signal("rready", "0...10.")]),
        "run": ("A run: the interrupt is a level and stays until it is disabled or the next start; CYCLES counts the cycles in which running is 1", [
            _signal("aclk", "p........."), _signal("write to CONTROL", "03x....4x.", "START | IRQ_ENABLE", "0"), _signal("running", "0..1..0..."),
            _signal("STATUS.BUSY", "0.1...0..."), _signal("STATUS.DONE", "0.....1..."), _signal("irq", "0.....1.0.")]),
        "read_burst": ("A read burst: INCR, full width, within 4 KiB, no identifiers, up to 256 beats; answers may come at any pace", [
            _signal("aclk", "p........."), _signal("arvalid", "010......."), _signal("araddr, arlen", "x3x.......", "A, 2"), _signal("arready", "1........."),
            _signal("rvalid", "0...1.01.0"), _signal("rdata", "x...44x4.x", "A", "A+1", "A+2"), _signal("rlast", "0......1.0"),
            _signal("rready", "1......01.")]),
        "write_burst": ("A write burst: data follow their address at once or later, never earlier; a store waits for the answer before it retires", [
            _signal("aclk", "p........."), _signal("awvalid", "010......."), _signal("awaddr, awlen", "x3x.......", "A, 1"), _signal("wvalid", "0.1.0....."),
            _signal("wdata, wstrb", "x.44x.....", "A", "A+1"), _signal("wlast", "0..10....."), _signal("wready", "1........."), _signal("bvalid", "0......10."),
            _signal("bready", "1.........")]),
        "reset": ("Reset: aresetn low for one cycle or more, taken at the clock's edge; the machine is in reset a cycle later, and so out of it", [
            _signal("aclk", "p......."), _signal("aresetn", "01......"), _signal("core reset", "1.0....."), _signal("register access", "0..1....")]),
    }
    return {name: json.dumps({"signal": signals, "head": {"text": text}}, indent=1) + "\n" for name, (text, signals) in drawn.items()}
