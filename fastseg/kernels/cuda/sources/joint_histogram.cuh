// The joint histogram of two label maps: how often each pair of labels occurs.
//
// TABLE is SHARED where a block's table fits its shared memory: it is counted in 32 bits there, one atomic addition a voxel, in some
// copies so that the warps of a block meet less often, and added to the table of the sample at the end. Where some rows fit, PARTS
// blocks look at the same voxels at about the same time, so that memory is read once, and each counts the rows of a part. Else the table
// is GLOBAL, and a thread counts a run of equal pairs in registers first. All sums are of integers, so whoever comes first changes
// nothing.
//
// WORDS is 1 where both maps are of bytes, sixteen are read at once and codes are bytes too: then four labels are one number.
#include "label_codes.cuh"
#include "maps.cuh"
#if WORDS
#include "four_codes.cuh"
#endif

#define SHARED 0
#define GLOBAL 1

struct Job {
  Maps maps;
  const i64 *labels;        // the labels that are told apart, sorted; `others` is the code of everything else
  u64 *table;               // (samples, others + 1, pitch)
  u64 *bad;                 // (samples,): values within the mask that are no whole numbers of 64 bits
  i32 others, first;        // labels 0..first-1 are their own codes
  i32 pitch, copies;        // numbers of a row of the table, and its copies in shared memory
#if WORDS
  FourCodes four_codes;
#endif
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
    for (u32 bits = threadIdx.x; bits < 256; bits += THREADS) {
      room[bits] = (u16)code_of_integer(job, number(from_byte<T>(bits)));
    }
    codes = room;
  }
  __device__ i32 of(const Job &, T value, u32 &) const { return codes[*(u8 *)&value]; }
};

#if TABLE == SHARED
// Where pairs are counted, one by one: additions of 1 by several threads of a warp to one place are made together.
struct Counter {
  u32 *table;
  u32 bytes;  // of the rows that are counted here
  static constexpr u32 SIZE = sizeof(u32);

  // The place is that of a pair in bytes; it is beyond the rows, or negative as an integer and so beyond, where it is in no row of theirs.
  __device__ void add(u32 place, u32 times = 1) {
    if (PARTS == 1 || place < bytes) atomicAdd((u32 *)((u8 *)table + place), times);
  }
  __device__ void end() {}
};
#else
// A run of equal pairs, and where it goes when it ends.
struct Counter {
  u64 *table;
  u32 last;
  u32 run;
  static constexpr u32 SIZE = sizeof(u64);

  __device__ void add(u32 place, u32 times = 1) {
    if (place != last) {
      end();
      last = place;
    }
    run += times;
  }
  __device__ void end() {
    if (run) atomicAdd((u64 *)((u8 *)table + last), (u64)run);
    run = 0;
  }
};
#endif

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) joint_histogram(const Job job) {
#if TABLE == SHARED
  DYNAMIC_SHARED(u32, tables);
#endif
  __shared__ u32 bad_here;
  __shared__ u16 room_for_codes[2][256];
  Codes<TRUTH> true_code;
  Codes<PRED> pred_code;
  true_code.make(job, room_for_codes[0]);
  pred_code.make(job, room_for_codes[1]);
  const i32 width = job.others + 1, part = blockIdx.x % PARTS;
  const i32 rows = (width + PARTS - 1) / PARTS, first_cell = part * rows * job.pitch;
  const i32 cells = (width < (part + 1) * rows ? width - part * rows : rows) * job.pitch;
  const Share share = {blockIdx.x / PARTS, gridDim.x / PARTS};

  for (i64 sample = blockIdx.y; sample < job.maps.samples; sample += gridDim.y) {
    u64 *const table = job.table + sample * width * job.pitch + first_cell;
    if (threadIdx.x == 0) bad_here = 0;
#if TABLE == SHARED
    for (i32 cell = threadIdx.x; cell <= cells * job.copies; cell += THREADS) tables[cell] = 0;
#endif
    __syncthreads();

    u32 bad = 0;
#if TABLE == SHARED
    Counter counter = {tables, cells * Counter::SIZE};
    const u32 begin = (threadIdx.x / 32 % job.copies * cells - first_cell) * Counter::SIZE;
    [[maybe_unused]] const u32 nowhere = cells * job.copies * Counter::SIZE;  // where what is outside the mask is counted
#else
    Counter counter = {table, 0, 0};
    const u32 begin = 0;
#endif
    const auto place_of = [&](i32 truth, i32 pred) { return begin + u32(truth * job.pitch + pred) * Counter::SIZE; };
    const auto count = [&](TRUTH truth, PRED pred) {
      counter.add(place_of(true_code.of(job, truth, bad), pred_code.of(job, pred, bad)));
    };
#if WORDS
    const auto count_packs = [&](Words &truth, Words &pred, const WordsInside &mask) {
#if !MASKED
      if (is_one_pair(truth, pred)) {  // most of a volume is background
        const u32 place = place_of(true_code.codes[truth.four[0] & 255], pred_code.codes[pred.four[0] & 255]);
        if (threadIdx.x % 32 == 0) counter.add(place, 32 * VECTOR);
        return;
      }
#endif
      find_codes<TRUTH>(job.four_codes, true_code.codes, truth);
      find_codes<PRED>(job.four_codes, pred_code.codes, pred);
      const u32 sizes = (u32)(job.pitch * Counter::SIZE) | Counter::SIZE << 16;  // of a row, and of one number: times both codes
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        const u32 low = __byte_perm(truth.four[w], pred.four[w], 0x5140), high = __byte_perm(truth.four[w], pred.four[w], 0x7362);
        const u32 places[4] = {__dp2a_lo(sizes, low, begin), __dp2a_hi(sizes, low, begin), __dp2a_lo(sizes, high, begin),
                               __dp2a_hi(sizes, high, begin)};
#pragma unroll
        for (int k = 0; k < 4; ++k) {
          const bool counted = inside(mask, w) >> 8 * k & 255;
#if MASKED && TABLE == SHARED && PARTS == 1
          counter.add(counted ? places[k] : nowhere);  // a branch for each takes more instructions
#else
          if (counted) counter.add(places[k]);
#endif
        }
      }
    };
    each_pack<Words, Words, WordsInside>(job.maps, sample, 0, share, count_packs, count);
#else
    each_voxel(job.maps, sample, 0, share, count);
#endif
    counter.end();
    if (bad) atomicAdd(&bad_here, bad);
    __syncthreads();

#if TABLE == SHARED
    for (i32 cell = threadIdx.x; cell < cells; cell += THREADS) {
      u64 times = 0;
      for (i32 copy = 0; copy < job.copies; ++copy) times += tables[copy * cells + cell];
      if (times) atomicAdd(table + cell, times);
    }
#endif
    if (threadIdx.x == 0 && part == 0 && bad_here) atomicAdd(job.bad + sample, (u64)bad_here);
    __syncthreads();
  }
}
