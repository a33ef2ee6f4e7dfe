// The joint histogram of two label maps: how often each pair of labels occurs.
//
// TABLE is SHARED where a block's table fits its shared memory: it is counted in 32 bits there, in some copies so that the warps of
// a block meet less often, and added to the table of the sample at the end. Else it is GLOBAL.
//
// A thread counts a run of equal pairs in registers: one atomic addition a run. All sums are of integers, so whoever comes first
// changes nothing.
#include "label_codes.cuh"
#include "maps.cuh"

#define SHARED 0
#define GLOBAL 1

struct Job {
  Maps maps;
  const i64 *labels;        // the labels that are told apart, sorted; `others` is the code of everything else
  u64 *table;               // (samples, others + 1, others + 1)
  u64 *outside, *bad;       // (samples,): voxels outside the mask, and values that are no whole numbers of 64 bits
  i32 others, first;        // labels 0..first-1 are their own codes
  i32 copies;               // of the table in shared memory
};

// The codes of one of the maps. Those of bytes are looked up in a table that the block makes before.
template <typename T, int BYTES = sizeof(T)>
struct Codes {
  __device__ void make(const Job &, u16 *) {}
  __device__ i32 of(const Job &job, T value, u32 &bad) const { return code_of_number(job, number(value), bad); }
};

template <typename T>
struct Codes<T, 1> {
  const u16 *codes;

  __device__ void make(const Job &job, u16 *room) {
    for (u32 bits = threadIdx.x; bits < 256; bits += blockDim.x) {
      T value;
      *(u8 *)&value = (u8)bits;
      room[bits] = (u16)code_of_integer(job, number(value));
    }
    codes = room;
  }
  __device__ i32 of(const Job &, T value, u32 &) const { return codes[*(u8 *)&value]; }
};

// A run of equal pairs, and where it goes when it ends.
struct Run {
#if TABLE == SHARED
  u32 *table;
#else
  u64 *table;
#endif
  i32 place;
  u32 times;

  __device__ void add(i32 here) {
    if (here != place) {
      end();
      place = here;
      times = 0;
    }
    ++times;
  }

  __device__ void end() {
    if (times) atomicAdd(table + place, times);
    times = 0;
  }
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) joint_histogram(const Job job) {
#if TABLE == SHARED
  DYNAMIC_SHARED(u32, tables);
#endif
  __shared__ u32 outside_here, bad_here;
  __shared__ u16 room_for_codes[2][256];
  Codes<TRUTH> true_code;
  Codes<PRED> pred_code;
  true_code.make(job, room_for_codes[0]);
  pred_code.make(job, room_for_codes[1]);
  const i32 width = job.others + 1, cells = width * width;

  for (i64 sample = blockIdx.y; sample < job.maps.samples; sample += gridDim.y) {
    u64 *const table = job.table + sample * cells;
    if (threadIdx.x == 0) outside_here = bad_here = 0;
#if TABLE == SHARED
    for (i32 cell = threadIdx.x; cell < cells * job.copies; cell += blockDim.x) tables[cell] = 0;
#endif
    __syncthreads();

    u32 bad = 0;
#if TABLE == SHARED
    Run run = {tables + (threadIdx.x / 32 % job.copies) * cells, 0, 0};
#else
    Run run = {table, 0, 0};
#endif

    const u32 outside = each_voxel(job.maps, sample, 0, [&](TRUTH truth, PRED pred) {
      run.add(true_code.of(job, truth, bad) * width + pred_code.of(job, pred, bad));
    });
    run.end();
    if (outside) atomicAdd(&outside_here, outside);
    if (bad) atomicAdd(&bad_here, bad);
    __syncthreads();

#if TABLE == SHARED
    for (i32 cell = threadIdx.x; cell < cells; cell += blockDim.x) {
      u64 times = 0;
      for (i32 copy = 0; copy < job.copies; ++copy) times += tables[copy * cells + cell];
      if (times) atomicAdd(table + cell, times);
    }
#endif
    if (threadIdx.x == 0) {
      if (outside_here) atomicAdd(job.outside + sample, (u64)outside_here);
      if (bad_here) atomicAdd(job.bad + sample, (u64)bad_here);
    }
    __syncthreads();
  }
}
