// Two maps, and how all of their voxels are looked at: what kernels of labels and of masks share.
//
// TRUTH and PRED are the types of the maps. VECTOR voxels are read at once where all arrays lie in one piece; 0 reads them one by
// one, wherever they lie. MASKED is 1 where there is a region of interest, of numbers of the type MASK.
#pragma once
#include "common.cuh"

struct Maps {
  Array truth, pred, mask;
  i64 sizes[MOST_AXES];             // of the axes, the last of which changes first
  i64 voxels, samples, channels;    // voxels of each channel of a sample
  i64 axes;
};

// Reads of a thread that wait together: of many small numbers more would need registers that leave room for fewer threads.
constexpr int UNROLLED = VECTOR > 4 ? 1 : 2;

template <typename T>
__device__ inline const T *start_of(const Array &array, i64 sample, i64 channel) {
  return (const T *)array.data + sample * array.sample_step + channel * array.channel_step;
}

// Call `use` with the true and the predicted number of each voxel that this thread looks at; return how many were outside the mask.
template <typename Use>
__device__ inline u32 each_voxel(const Maps &maps, i64 sample, i64 channel, Use use) {
  const TRUTH *const truth = start_of<TRUTH>(maps.truth, sample, channel);
  const PRED *const pred = start_of<PRED>(maps.pred, sample, channel);
#if MASKED
  const MASK *const mask = start_of<MASK>(maps.mask, sample, channel);
#endif
  const i64 first = (i64)blockIdx.x * blockDim.x + threadIdx.x, threads = (i64)gridDim.x * blockDim.x;
  u32 outside = 0;

#if VECTOR
  const i64 packs = maps.voxels / VECTOR;
  for (i64 start = first; start < packs; start += threads * UNROLLED) {
    Pack<TRUTH, VECTOR> t[UNROLLED];
    Pack<PRED, VECTOR> p[UNROLLED];
#if MASKED
    Pack<MASK, VECTOR> m[UNROLLED];
#endif
#pragma unroll
    for (int u = 0; u < UNROLLED; ++u) {  // all reads first: they wait together
      const i64 at = start + u * threads;
      if (at < packs) {
        t[u] = ((const Pack<TRUTH, VECTOR> *)truth)[at];
        p[u] = ((const Pack<PRED, VECTOR> *)pred)[at];
#if MASKED
        m[u] = ((const Pack<MASK, VECTOR> *)mask)[at];
#endif
      }
    }
#pragma unroll
    for (int u = 0; u < UNROLLED; ++u) {
      if (start + u * threads < packs) {
#pragma unroll
        for (int v = 0; v < VECTOR; ++v) {
#if MASKED
          if (!number(m[u].values[v])) {
            ++outside;
            continue;
          }
#endif
          use(t[u].values[v], p[u].values[v]);
        }
      }
    }
  }
  for (i64 at = packs * VECTOR + first; at < maps.voxels; at += threads) {
#if MASKED
    if (!number(mask[at])) {
      ++outside;
      continue;
    }
#endif
    use(truth[at], pred[at]);
  }
#else
  for (i64 voxel = first; voxel < maps.voxels; voxel += threads) {
    i64 rest = voxel, t_at = 0, p_at = 0, m_at = 0;
    for (int axis = (int)maps.axes - 1; axis >= 0; --axis) {
      const i64 next = rest / maps.sizes[axis], index = rest - next * maps.sizes[axis];
      t_at += index * maps.truth.steps[axis];
      p_at += index * maps.pred.steps[axis];
      m_at += index * maps.mask.steps[axis];
      rest = next;
    }
#if MASKED
    if (!number(mask[m_at])) {
      ++outside;
      continue;
    }
#endif
    use(truth[t_at], pred[p_at]);
  }
#endif
  return outside;
}
