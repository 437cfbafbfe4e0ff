// The main program with waveforms: the model is looked at after each of its clock edges.

#include "simulation.h"
#include "waves.h"

class WavingSimulation : public Simulation {
public:
    WavingSimulation(int argc, char** argv) : Simulation(argc, argv), m_waves(*context, *top) {}

    bool half_period() {
        const bool rising = Simulation::half_period();
        m_waves.step(rising);
        return rising;
    }

private:
    Waves m_waves;  // goes before the model that it looks at
};

#define Simulation WavingSimulation
#include "main.cpp"
