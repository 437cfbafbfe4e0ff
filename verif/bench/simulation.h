// The simulated model with its clock and memory image: what the cocotb main and the bare main share.
#ifndef COVENANT_SIMULATION_H_
#define COVENANT_SIMULATION_H_

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "Vtb.h"
#include "verilated.h"
#include "verilated_syms.h"

class Simulation {
public:
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    std::unique_ptr<Vtb> top;
    uint64_t cycles = 0;           // rising clock edges so far
    uint8_t* memory = nullptr;     // byte 0 of the AXI memory's array: words are little endian, so it is the image itself
    uint64_t memory_bytes = 0;

    Simulation(int argc, char** argv) {
        Verilated::threadContextp(context.get());
        context->commandArgs(argc, argv);
        top.reset(new Vtb(context.get(), ""));
        top->clk = 0;
        top->rst = 1;
        const VerilatedScope* scope = context->scopeFind("tb.memory");
        const VerilatedVar* array = scope ? scope->varFind("memory") : nullptr;
        if (!array) {
            fprintf(stderr, "covenant: the array tb.memory.memory is not in the model\n");
            exit(3);
        }
        memory = static_cast<uint8_t*>(array->datap());
        memory_bytes = static_cast<uint64_t>(array->totalSize());
        const char* descriptor = getenv("COVENANT_PROGRESS_FD");
        if (descriptor) m_progress = atoi(descriptor);
        m_reported = Clock::now();
    }

    // One half period (1 ns). Returns true after a rising edge. Inputs other than the clock are set before the call.
    bool half_period() {
        const bool rising = !top->clk;
        top->clk = rising;
        top->eval();
        if (rising && (++cycles & 0x3fff) == 0 && m_progress >= 0) report(false);
        return rising;
    }

    // Writes "cycles N" to the progress pipe, at most once a second unless forced.
    void report(bool force) {
        const Clock::time_point now = Clock::now();
        if (m_progress < 0 || (!force && now - m_reported < std::chrono::seconds(1))) return;
        m_reported = now;
        dprintf(m_progress, "cycles %llu\n", static_cast<unsigned long long>(cycles));
    }

private:
    using Clock = std::chrono::steady_clock;
    int m_progress = -1;
    Clock::time_point m_reported;
};

#endif
