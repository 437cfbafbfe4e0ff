// Waveforms of the simulated model as an FST file: +waves=FILE, and +from=CYCLE +to=CYCLE for a part of them.
//
// Cycles are those of the prediction: 0 is the first cycle in which the machine runs its first program. A cycle is ten units of 100 ps, so that
// viewers show it as a nanosecond and their time is the cycle; the clock rises at its beginning and falls in its middle.
#ifndef COVENANT_WAVES_H_
#define COVENANT_WAVES_H_

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "Vtb.h"
#include "verilated.h"
#include "verilated_fst_c.h"
#include "verilated_syms.h"

class Waves {
public:
    ~Waves() { close(); }

    // Before the first evaluation.
    Waves(VerilatedContext& context, Vtb& top) {
        context.traceEverOn(true);
        m_path = plusarg(context, "waves=");
        if (m_path.empty()) return;
        const VerilatedScope* scope = context.scopeFind("tb");
        const VerilatedVar* variable = scope ? scope->varFind("running") : nullptr;
        if (!variable) {
            fprintf(stderr, "covenant: the signal tb.running is not in the model\n");
            exit(3);
        }
        m_running = static_cast<const CData*>(variable->datap());
        const std::string from = plusarg(context, "from="), to = plusarg(context, "to=");
        if (!from.empty()) m_from = std::stoull(from);
        if (!to.empty()) m_to = std::stoull(to);
        m_trace.reset(new VerilatedFstC);
        m_trace->set_time_unit("100ps");
        m_trace->set_time_resolution("100ps");
        top.trace(m_trace.get(), 99);
    }

    // After every evaluation at a clock edge.
    void step(bool rising) {
        if (!m_trace) return;
        if (rising) {
            if (m_begun) ++m_cycle;
            m_begun = m_begun || *m_running;
        }
        if (!m_begun || m_cycle < m_from) return;
        if (m_cycle >= m_to) {
            close();
            return;
        }
        if (!m_trace->isOpen()) {
            if (!rising) return;
            m_trace->open(m_path.c_str());
        }
        m_trace->dump(10 * m_cycle + (rising ? 0 : 5));
    }

    void close() {
        if (m_trace && m_trace->isOpen()) m_trace->close();
        m_trace.reset();
    }

private:
    // What stands behind +NAME= of the program's arguments, or nothing.
    static std::string plusarg(VerilatedContext& context, const char* name) {
        const char* match = context.commandArgsPlusMatch(name);
        return *match ? match + 1 + strlen(name) : "";
    }

    std::unique_ptr<VerilatedFstC> m_trace;
    const CData* m_running = nullptr;
    std::string m_path;
    uint64_t m_from = 0, m_to = ~0ull, m_cycle = 0;
    bool m_begun = false;
};

#endif
