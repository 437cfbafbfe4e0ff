// Main program of the hostile bench: an edge of the clock is first shown to who watches the clock, then to the design. So a bus model that
// wakes at the rising edge samples what this edge captures, and what it drives appears behind the edge, as in an event-driven simulator.
//
// Time: 1 ns a half period; the first rising edge is at 1 ns.

#include <cstdint>
#include <memory>

#include "Vtb.h"
#include "verilated.h"
#include "verilated_vpi.h"

extern "C" void vlog_startup_routines_bootstrap(void);

static uint64_t cycles = 0;  // rising clock edges so far

extern "C" uint64_t covenant_cycles() { return cycles; }

static void settle_values() {
    while (VerilatedVpi::callValueCbs()) {}
}

static void step(Vtb* top) {
    do {
        do {
            top->eval_step();
            VerilatedVpi::clearEvalNeeded();
            VerilatedVpi::doInertialPuts();
            settle_values();
        } while (VerilatedVpi::evalNeeded());
        VerilatedVpi::callCbs(cbReadWriteSynch);
        VerilatedVpi::doInertialPuts();
        settle_values();
    } while (VerilatedVpi::evalNeeded());
    top->eval_end_step();
    VerilatedVpi::callCbs(cbReadOnlySynch);
}

int main(int argc, char** argv) {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    Verilated::threadContextp(context.get());
    context->commandArgs(argc, argv);
    context->fatalOnVpiError(false);  // cocotb probes for features that Verilator lacks
    std::unique_ptr<Vtb> top{new Vtb(context.get(), "")};
    top->clk = 0;
    top->rst = 1;

    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    settle_values();
    step(top.get());

    while (!context->gotFinish()) {
        context->timeInc(1);
        VerilatedVpi::callCbs(cbNextSimTime);
        VerilatedVpi::callTimedCbs();
        top->clk = !top->clk;
        if (top->clk) ++cycles;
        VerilatedVpi::callValueCbs();
        step(top.get());
    }

    top->final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
    return context->errorCount() > 0 ? 1 : 0;
}
