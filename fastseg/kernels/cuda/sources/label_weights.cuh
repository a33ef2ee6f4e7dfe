// The summed weights of each pair of labels. Sums of floating-point numbers depend on their order, so weights are added up as whole
// numbers: in units of 2^-95 of the power of two above the largest weight, in three words that overlap in nothing.
//
// STEP is LARGEST to find the largest weight, then SUMS. Types and order are as in maps.cuh, WEIGHT is the type of the weights.
#include "label_codes.cuh"
#include "maps.cuh"

#define LARGEST 0
#define SUMS 1

struct Job {
  Maps maps;
  Array weight;
  const i64 *labels;
  u64 *largest;      // the bits of the largest weight, a double
  u64 *bad;          // (samples,): weights that are negative, infinite or NaN
  u64 *sums;         // (samples, others + 1, others + 1, WORDS)
  i32 others, first;
};

constexpr int WORDS = 3;

__device__ inline u64 double_as_bits(double value) {
  union {
    u64 bits;
    double value;
  } either;
  either.value = value;
  return either.bits;
}

__device__ inline double power_of_two(i64 exponent) {
  union {
    u64 bits;
    double value;
  } either;
  either.bits = (u64)(exponent + 1023) << 52;
  return either.value;
}

// What the largest weight is multiplied by so that it is below 2^31: a power of two, which changes no digit.
__device__ inline double scale_of(u64 largest) {
  const i64 exponent = 31 - ((i64)(largest >> 52) - 1022);
  return power_of_two(exponent < 1000 ? exponent : 1000);
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) label_weights(const Job job) {
  const i32 width = job.others + 1;
  const Maps &maps = job.maps;

  for (i64 sample = blockIdx.y; sample < maps.samples; sample += gridDim.y) {
    const TRUTH *const truth = start_of<TRUTH>(maps.truth, sample, 0);
    const PRED *const pred = start_of<PRED>(maps.pred, sample, 0);
    const WEIGHT *const weight = start_of<WEIGHT>(job.weight, sample, 0);
#if MASKED
    const MASK *const mask = start_of<MASK>(maps.mask, sample, 0);
#endif
    u64 largest = 0;
    u32 bad = 0;
#if STEP == SUMS
    const double scale = scale_of(*job.largest);
#endif

    for (i64 voxel = (i64)blockIdx.x * THREADS + threadIdx.x; voxel < maps.voxels; voxel += (i64)gridDim.x * THREADS) {
      i64 rest = voxel, t_at = 0, p_at = 0, m_at = 0, w_at = 0;
      for (int axis = (int)maps.axes - 1; axis >= 0; --axis) {
        const i64 next = axis ? rest / maps.sizes[axis] : 0, index = rest - next * maps.sizes[axis];
        t_at += index * maps.truth.steps[axis];
        p_at += index * maps.pred.steps[axis];
        m_at += index * maps.mask.steps[axis];
        w_at += index * job.weight.steps[axis];
        rest = next;
      }
#if MASKED
      if (!number(mask[m_at])) continue;
#endif
      const double w = (double)number(weight[w_at]);
      if (!(w >= 0 && w - w == 0)) {
        ++bad;
        continue;
      }
#if STEP == LARGEST
      const u64 bits = w == 0 ? 0 : double_as_bits(w);  // numbers that are not negative are ordered as their bits are
      if (bits > largest) largest = bits;
#else
      u32 no_labels = 0;  // were counted before
      const i32 row = code_of_number(job, number(truth[t_at]), no_labels);
      const i32 column = code_of_number(job, number(pred[p_at]), no_labels);
      u64 *const sums = job.sums + ((sample * width + row) * width + column) * WORDS;
      double left = w * scale;
#pragma unroll
      for (int word = 0; word < WORDS; ++word) {
        const u64 whole = (u64)(word == WORDS - 1 ? left + 0.5 : left);
        if (whole) atomicAdd(sums + word, whole);
        left = (left - (double)whole) * 4294967296.0;
      }
#endif
    }
#if STEP == LARGEST
    if (largest) atomicMax(job.largest, largest);
    if (bad) atomicAdd(job.bad + sample, (u64)bad);
#endif
  }
}
