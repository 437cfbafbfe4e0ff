// The main program with line coverage: what was covered is written when the cocotb test module asks for it.

#include "main.cpp"
#include "verilated_cov.h"

extern "C" void covenant_write_coverage(const char* path) { simulation->context->coveragep()->write(path); }
