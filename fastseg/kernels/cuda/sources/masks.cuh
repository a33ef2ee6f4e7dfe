// Binary maps with channels: for each sample and channel the voxels that are inside the region of interest, that are true, that
// are predicted, and both. Types and order are as in maps.cuh; numbers other than 0 and 1 are counted as wrong.
//
// A block counts one channel of one sample at a time: in registers, then in shared memory, then in 64 bits for all blocks. WORDS is 1
// where maps and mask are of bytes, and sixteen are read at once: then four voxels are counted by one instruction.
#include "maps.cuh"
#if WORDS
#include "words.cuh"
#endif

struct Job {
  Maps maps;
  u64 *sums;  // (samples, channels, 5): inside, true, predicted, both, wrong
};

template <typename T>
__device__ inline u32 bit_of(T value, u32 &wrong) {
  const auto plain = number(value);
  wrong += !(plain == 0 || plain == 1);  // NaN too
  return plain == 1;
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) masks(const Job job) {
  constexpr int SUMS = 5;
  __shared__ u32 sums[SUMS];
  const i64 units = job.maps.samples * job.maps.channels;

  for (i64 unit = blockIdx.y; unit < units; unit += gridDim.y) {
    if (threadIdx.x < SUMS) sums[threadIdx.x] = 0;
    __syncthreads();

    u32 seen = 0, truths = 0, preds = 0, both = 0, wrong = 0;
    const auto count = [&](TRUTH truth, PRED pred) {
      const u32 t = bit_of(truth, wrong), p = bit_of(pred, wrong);
      ++seen;
      truths += t;
      preds += p;
      both += t & p;
    };
    const i64 sample = unit / job.maps.channels, channel = unit % job.maps.channels;
#if WORDS
    const auto count_packs = [&](const Words &t, const Words &p, const WordsInside &m) {
      constexpr u32 ONES = 0x01010101u;
      u32 others = 0;  // than 0 and 1
#pragma unroll
      for (int w = 0; w < 4; ++w) others |= (t.four[w] | p.four[w] | inside(m, w)) & ~ONES;
#pragma unroll
      for (int w = 0; w < 4; ++w) {
        if (others) {
          for (int at = 0; at < 32; at += 8)
            if (inside(m, w) >> at & 255) count(from_byte<TRUTH>(t.four[w] >> at), from_byte<PRED>(p.four[w] >> at));
        } else {
          const u32 truth = t.four[w] & inside(m, w);
          seen = __dp4a(inside(m, w), ONES, seen);
          truths = __dp4a(truth, ONES, truths);
          preds = __dp4a(p.four[w], inside(m, w), preds);
          both = __dp4a(truth, p.four[w], both);
        }
      }
    };
    each_pack<Words, Words, WordsInside>(job.maps, sample, channel, share_of_grid(), count_packs, count);
#else
    each_voxel(job.maps, sample, channel, share_of_grid(), count);
#endif
    const u32 mine[SUMS] = {seen, truths, preds, both, wrong};
#pragma unroll
    for (int k = 0; k < SUMS; ++k)
      if (mine[k]) atomicAdd(sums + k, mine[k]);
    __syncthreads();

    if (threadIdx.x < SUMS && sums[threadIdx.x]) atomicAdd(job.sums + unit * SUMS + threadIdx.x, (u64)sums[threadIdx.x]);
    __syncthreads();
  }
}
