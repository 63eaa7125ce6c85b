// --gpus N: one process a GPU on this host, without a launcher of anybody else's.
//
// The launcher starts N copies of its own command line with torchrun's variables set, passes Ctrl-C on, and waits. Its exit
// code is 0 when all ranks' were.
// Bites: ranks are process groups of their own, so that a terminal's Ctrl-C reaches them once, through the launcher; when the
// launcher is killed they are told to stop. When a rank fails the others stop by themselves (heartbeat.h); whoever is still
// there kEndS later, a stopped process for instance, is killed.
#pragma once

#include <memory>

#include "graph/world.h"
#include "model/console.h"

namespace CLI {
class App;
}

namespace sixteen {

// A port that nobody listens on, and that no socket which takes any port will get before rank 0 listens there. Throws Error.
int free_port();

void add_gpus_option(CLI::App& command, int* gpus);

// Call it when the command line has been checked and before any thread is started. In a launcher (gpus > 1 and not a rank
// yet) it does not return: it throws CommandDone. In a rank it joins the world, and every rank but 0 falls silent (console).
// A run of one rank has none: nullptr. Throws UsageError for --gpus under torchrun, mpirun or srun.
std::shared_ptr<World> launch_or_join(int gpus, Console* console);

}  // namespace sixteen
