// Which labels occur in two maps: a set of whole numbers, by open addressing. A thread asks for a label only where it has not just
// seen the same. Types and order are as in maps.cuh.
#include "maps.cuh"

struct Job {
  Maps maps;
  u64 *slots;    // the labels, each plus OFFSET; 0 where there is none
  u64 *special;  // [0]: the label that plus OFFSET is 0 occurs; [1]: the set is full
};

constexpr u64 OFFSET = 0x8000000000000001ull;

__device__ void put(const Job &job, i64 label) {
  const u64 key = (u64)label + OFFSET;
  if (!key) {
    *job.special = 1;
    return;
  }
  u64 hash = key * 0x9e3779b97f4a7c15ull;
  for (int probe = 0; probe < SLOTS; ++probe) {
    u64 *const slot = job.slots + ((hash >> 40) + probe) % SLOTS;
    const u64 found = *(volatile u64 *)slot;
    if (found == key) return;
    if (found == 0) {
      const u64 before = atomicCAS(slot, (u64)0, key);
      if (before == 0 || before == key) return;
    }
  }
  job.special[1] = 1;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) distinct_labels(const Job job) {
  for (i64 sample = blockIdx.y; sample < job.maps.samples; sample += gridDim.y) {
    i64 last[2] = {0, 0};
    bool any[2] = {false, false};
    const auto see = [&](int map, i64 label, bool wrong) {
      if (wrong || (any[map] && label == last[map])) return;
      any[map] = true;
      last[map] = label;
      if (!*(volatile u64 *)(job.special + 1)) put(job, label);
    };
    each_voxel(job.maps, sample, 0, share_of_grid(), [&](TRUTH truth, PRED pred) {
      bool wrong = false;
      const i64 t = whole_number(number(truth), wrong);
      see(0, t, wrong);
      wrong = false;
      const i64 p = whole_number(number(pred), wrong);
      see(1, p, wrong);
    });
  }
}
