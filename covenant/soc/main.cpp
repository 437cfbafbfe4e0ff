// Clock and reset of the system in simulation, until it ends itself or the cycles that it may take have passed.
#include <cstdint>
#include <cstdlib>
#include <memory>

#include "Vtb.h"
#include "verilated.h"

int main(int argc, char** argv) {
    std::unique_ptr<VerilatedContext> context{new VerilatedContext};
    context->commandArgs(argc, argv);
    std::unique_ptr<Vtb> top{new Vtb{context.get()}};
    const char* most = std::getenv("COVENANT_SOC_CYCLES");
    const uint64_t limit = most ? std::strtoull(most, nullptr, 10) : 1000000000ull;
    top->rst = 1;
    for (uint64_t cycle = 0; !context->gotFinish() && cycle < limit; cycle++) {
        if (cycle == 8) top->rst = 0;
        top->clk = 0;
        top->eval();
        context->timeInc(1);
        top->clk = 1;
        top->eval();
        context->timeInc(1);
    }
    top->final();
    return context->gotFinish() ? 0 : 3;
}
