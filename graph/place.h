// Which rank of which run this process is, as its launcher's environment says.
//
//   torchrun  RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT
//   mpirun    OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE
//   srun      SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID; the first host of SLURM_STEP_NODELIST
//   --gpus N  the first set, made by our own launcher
// The rendezvous is at MASTER_ADDR and SIXTEEN_PORT: default MASTER_PORT + 1 (torchrun's own store holds MASTER_PORT), under
// srun a port made from SLURM_JOB_ID, so that two jobs on a host do not meet.
// Bites: SLURM_PROCID is also set in a batch script that srun did not start; SLURM_STEP_NUM_TASKS is not.
#pragma once

#include <functional>
#include <string>

namespace sixteen {

struct Place {
  int rank = 0, size = 1;
  int local_rank = 0, local_size = 1;  // among the ranks of this host: which card, which share of the cores
  std::string address = "127.0.0.1";   // of rank 0
  int port = 29501;
  double timeout_s = 12;               // SIXTEEN_TIMEOUT: until a silent or hanging rank is given up
  double meet_s = 20;                  // the same, or this: until a rank that does not come is
  std::string launcher;                // whose environment it was; empty: none, a run of one rank
};

using Environment = std::function<const char*(const char*)>;

// Throws Error naming the variable for what cannot be (rank >= size, a host list or address missing).
Place find_place(const Environment& environment);
Place find_place();  // of this process

}  // namespace sixteen
