// The summed weights of each pair of labels, in the words of weights.cuh.
//
// STEP is LARGEST to find the largest weight, then SUMS. Types and order are as in maps.cuh, WEIGHT is the type of the weights.
#include "label_codes.cuh"
#include "maps.cuh"
#include "weights.cuh"

#define LARGEST 0
#define SUMS 1

struct Job {
  Maps maps;
  Array weight;
  const i64 *labels;
  u64 *largest;      // the bits of the largest weight, a double
  u64 *bad;          // (samples, channels): weights that are negative, infinite or NaN
  u64 *sums;         // (samples, channels, others + 1, others + 1, WORDS)
  i32 others, first;
};

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) label_weights(const Job job) {
  const i32 width = job.others + 1;
  const Maps &maps = job.maps;

  for (i64 unit = blockIdx.y; unit < maps.samples * maps.channels; unit += gridDim.y) {
    const i64 sample = unit / maps.channels, channel = unit % maps.channels;
    const TRUTH *const truth = start_of<TRUTH>(maps.truth, sample, channel);
    const PRED *const pred = start_of<PRED>(maps.pred, sample, channel);
    const WEIGHT *const weight = start_of<WEIGHT>(job.weight, sample, channel);
#if MASKED
    const MASK *const mask = start_of<MASK>(maps.mask, sample, channel);
#endif
    u64 largest = 0;
    u32 bad = 0;
#if STEP == SUMS
    const double scale = scale_of(*job.largest);
    WeightRun run = {};
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
      run.add(job.sums + ((unit * width + row) * width + column) * WORDS, w * scale);
#endif
    }
#if STEP == LARGEST
    if (largest) atomicMax(job.largest, largest);
    if (bad) atomicAdd(job.bad + unit, (u64)bad);
#else
    run.end();
#endif
  }
}
