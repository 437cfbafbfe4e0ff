// Main program without cocotb: replays a control sequence on the same model, for the cost of cocotb to be measured
// against. Commands come on standard input, one a line; numbers are decimal:
//   reset CYCLES                      hold rst
//   load ADDRESS FILE OFFSET SIZE     copy bytes of a file into the memory
//   write OFFSET VALUE                AXI4-Lite write
//   read OFFSET                       AXI4-Lite read, prints "read VALUE"
//   run TIMEOUT_CYCLES                until irq; prints "run CYCLES SECONDS CPU_SECONDS", CYCLES 0 on timeout
//   dump ADDRESS SIZE FILE            append memory bytes to a file

#include <ctime>
#include <iostream>
#include <string>

#include "simulation.h"

static void cycle(Simulation& simulation) {
    simulation.half_period();
    simulation.half_period();
}

static void check_range(const Simulation& simulation, uint64_t address, uint64_t size) {
    if (address + size > simulation.memory_bytes) {
        fprintf(stderr, "covenant: bytes %llu to %llu lie outside the memory\n", static_cast<unsigned long long>(address),
                static_cast<unsigned long long>(address + size));
        exit(3);
    }
}

static void load(Simulation& simulation, uint64_t address, const std::string& path, long offset, uint64_t size) {
    check_range(simulation, address, size);
    FILE* file = fopen(path.c_str(), "rb");
    if (!file || fseek(file, offset, SEEK_SET) != 0 || fread(simulation.memory + address, 1, size, file) != size) {
        fprintf(stderr, "covenant: cannot read %s\n", path.c_str());
        exit(3);
    }
    fclose(file);
}

static void dump(Simulation& simulation, uint64_t address, uint64_t size, const std::string& path) {
    check_range(simulation, address, size);
    FILE* file = fopen(path.c_str(), "ab");
    if (!file || fwrite(simulation.memory + address, 1, size, file) != size) {
        fprintf(stderr, "covenant: cannot write %s\n", path.c_str());
        exit(3);
    }
    fclose(file);
}

static void check_answer(const Simulation& simulation, uint64_t first) {
    if (simulation.cycles - first > 10000) {
        fprintf(stderr, "covenant: a register access got no answer in 10000 cycles\n");
        exit(3);
    }
}

// Signals change while the clock is low; a handshake is decided by what stands just before the rising edge.
static void write_register(Simulation& simulation, uint32_t offset, uint32_t value) {
    Vtb& top = *simulation.top;
    top.s_axil_awaddr = offset;
    top.s_axil_wdata = value;
    top.s_axil_wstrb = 0xf;
    top.s_axil_awvalid = top.s_axil_wvalid = top.s_axil_bready = 1;
    const uint64_t first = simulation.cycles;
    for (bool answered = false; !answered;) {
        check_answer(simulation, first);
        top.eval();
        const bool address = top.s_axil_awvalid && top.s_axil_awready;
        const bool data = top.s_axil_wvalid && top.s_axil_wready;
        answered = top.s_axil_bvalid;
        cycle(simulation);
        if (address) top.s_axil_awvalid = 0;
        if (data) top.s_axil_wvalid = 0;
    }
    top.s_axil_bready = 0;
}

static uint32_t read_register(Simulation& simulation, uint32_t offset) {
    Vtb& top = *simulation.top;
    top.s_axil_araddr = offset;
    top.s_axil_arvalid = top.s_axil_rready = 1;
    uint32_t value = 0;
    const uint64_t first = simulation.cycles;
    for (bool answered = false; !answered;) {
        check_answer(simulation, first);
        top.eval();
        const bool address = top.s_axil_arvalid && top.s_axil_arready;
        answered = top.s_axil_rvalid;
        value = top.s_axil_rdata;
        cycle(simulation);
        if (address) top.s_axil_arvalid = 0;
    }
    top.s_axil_rready = 0;
    return value;
}

static void run(Simulation& simulation, uint64_t timeout_cycles) {
    const auto begin = std::chrono::steady_clock::now();
    const clock_t cpu_begin = clock();
    const uint64_t first = simulation.cycles;
    while (!simulation.top->irq && simulation.cycles - first < timeout_cycles && !simulation.context->gotFinish()) cycle(simulation);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    printf("run %llu %.6f %.6f\n", static_cast<unsigned long long>(simulation.top->irq ? simulation.cycles - first : 0), seconds.count(),
           static_cast<double>(clock() - cpu_begin) / CLOCKS_PER_SEC);
}

int main(int argc, char** argv) {
    Simulation simulation(argc, argv);
    std::string command, path;
    uint64_t a, b, c;
    while (std::cin >> command) {
        if (command == "reset" && std::cin >> a) {
            simulation.top->rst = 1;
            while (a--) cycle(simulation);
            simulation.top->rst = 0;
            cycle(simulation);  // the bench holds reset in a register
            cycle(simulation);
        } else if (command == "load" && std::cin >> a >> path >> b >> c) {
            load(simulation, a, path, static_cast<long>(b), c);
        } else if (command == "write" && std::cin >> a >> b) {
            write_register(simulation, static_cast<uint32_t>(a), static_cast<uint32_t>(b));
        } else if (command == "read" && std::cin >> a) {
            printf("read %u\n", read_register(simulation, static_cast<uint32_t>(a)));
        } else if (command == "run" && std::cin >> a) {
            run(simulation, a);
        } else if (command == "dump" && std::cin >> a >> b >> path) {
            dump(simulation, a, b, path);
        } else {
            fprintf(stderr, "covenant: bad command %s\n", command.c_str());
            return 3;
        }
    }
    simulation.top->final();
    return 0;
}
