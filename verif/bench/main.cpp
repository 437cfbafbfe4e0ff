// Main program under cocotb: the clock is toggled here, and cocotb is entered only when one of its callbacks is due
// (a watched value changed, or a timer ran out). While the machine runs, Python sleeps.
//
// Time: 1 ns a half period, so a clock cycle is 2 ns; the first rising edge is at 1 ns.

#include <cstring>

#include "simulation.h"
#include "verilated_vpi.h"

extern "C" void vlog_startup_routines_bootstrap(void);

static Simulation* simulation = nullptr;

// Reached by the cocotb test module through ctypes: the memory image and the cycle counter without a VPI call.
extern "C" uint8_t* covenant_memory() { return simulation->memory; }
extern "C" uint64_t covenant_memory_bytes() { return simulation->memory_bytes; }
extern "C" uint64_t covenant_cycles() { return simulation->cycles; }

static void settle_values() {
    while (VerilatedVpi::callValueCbs()) {}
}

// The rest of a time step in which a callback ran: IEEE 1800 order of the regions, as cocotb expects it.
static void finish_step() {
    do {
        do {
            simulation->top->eval_step();
            VerilatedVpi::clearEvalNeeded();
            VerilatedVpi::doInertialPuts();
            settle_values();
        } while (VerilatedVpi::evalNeeded());
        VerilatedVpi::callCbs(cbReadWriteSynch);
        VerilatedVpi::doInertialPuts();
        settle_values();
    } while (VerilatedVpi::evalNeeded());
    simulation->top->eval_end_step();
    VerilatedVpi::callCbs(cbReadOnlySynch);
}

int main(int argc, char** argv) {
    Simulation instance(argc, argv);
    simulation = &instance;
    VerilatedContext& context = *instance.context;
    context.fatalOnVpiError(false);  // cocotb probes for features that Verilator lacks

    vlog_startup_routines_bootstrap();
    VerilatedVpi::callCbs(cbStartOfSimulation);
    settle_values();
    finish_step();

    uint64_t deadline = VerilatedVpi::cbNextDeadline();
    bool stepped = true;  // a callback ran in the step before, so a next-time-step callback may wait
    while (!context.gotFinish()) {
        context.timeInc(1);
        bool due = false;
        const bool watch = stepped;
        if (stepped) {
            due = VerilatedVpi::callCbs(cbNextSimTime);
            deadline = VerilatedVpi::cbNextDeadline();
            stepped = false;
        }
        if (context.time() >= deadline) {
            VerilatedVpi::callTimedCbs();
            due = true;
        }
        // A falling edge changes no signal but the clock. Who watches the clock was called in the step before.
        const bool rising = instance.half_period();
        if ((rising || watch) && VerilatedVpi::callValueCbs()) due = true;
        if (due) {
            finish_step();
            deadline = VerilatedVpi::cbNextDeadline();
            stepped = true;
        }
    }

    instance.report(true);
    instance.top->final();
    VerilatedVpi::callCbs(cbEndOfSimulation);
    return context.errorCount() > 0 ? 1 : 0;
}
