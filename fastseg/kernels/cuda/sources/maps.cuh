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

// Packs of each map that a thread reads at once: they wait together; and what is in each.
constexpr int AT_ONCE = 2, COUNT = VECTOR ? VECTOR : 1;

template <typename T>
__device__ inline const T *start_of(const Array &array, i64 sample, i64 channel) {
  return (const T *)array.data + sample * array.sample_step + channel * array.channel_step;
}

// What is not read where there is no mask.
struct Everywhere {};

__device__ inline bool is_inside(Everywhere) { return true; }
template <typename T>
__device__ inline bool is_inside(T value) {
  return number(value) != 0;
}

#if MASKED
typedef MASK Inside;
#else
typedef Everywhere Inside;
#endif

// Which of the blocks that share the voxels of a map a block is.
struct Share {
  i64 block, blocks;
};

__device__ inline Share share_of_grid() { return {blockIdx.x, gridDim.x}; }

// Look at all voxels of a channel of a sample that are this thread's: call `packs` with a T, a P and an M, which are VECTOR numbers of
// the true, the predicted map and the mask each, where all threads of a warp have such; and `each` with the true and the predicted number of
// every other voxel that is inside.
template <typename T, typename P, typename M, typename Packs, typename Each>
__device__ inline void each_pack(const Maps &maps, i64 sample, i64 channel, Share share, Packs packs, Each each) {
  const TRUTH *const truth = start_of<TRUTH>(maps.truth, sample, channel);
  const PRED *const pred = start_of<PRED>(maps.pred, sample, channel);
#if MASKED
  const MASK *const mask = start_of<MASK>(maps.mask, sample, channel);
#endif
  const i64 first = share.block * THREADS + threadIdx.x, threads = share.blocks * THREADS;

#if VECTOR
  const i64 whole = maps.voxels / (VECTOR * 32) * 32;
  const T *t_at = (const T *)truth + first;
  const P *p_at = (const P *)pred + first;
#if MASKED
  const M *m_at = (const M *)mask + first;
#endif
  for (i64 left = whole - first; left > 0; left -= AT_ONCE * threads) {
    T t[AT_ONCE];
    P p[AT_ONCE];
    M m[AT_ONCE];
#pragma unroll
    for (int u = 0; u < AT_ONCE; ++u) {  // all reads first: they wait together
      if (u * threads < left) {
        t[u] = *t_at;
        p[u] = *p_at;
#if MASKED
        m[u] = *m_at;
#endif
      }
      t_at += threads;
      p_at += threads;
#if MASKED
      m_at += threads;
#endif
    }
#pragma unroll
    for (int u = 0; u < AT_ONCE; ++u)
      if (u * threads < left) packs(t[u], p[u], m[u]);
  }
  for (i64 at = whole * VECTOR + first; at < maps.voxels; at += threads) {
#if MASKED
    if (!is_inside(mask[at])) continue;
#endif
    each(truth[at], pred[at]);
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
    if (!is_inside(mask[m_at])) continue;
#endif
    each(truth[t_at], pred[p_at]);
  }
#endif
}

// Call `use` with the true and the predicted number of each voxel that this thread looks at and that is inside the mask.
template <typename Use>
__device__ inline void each_voxel(const Maps &maps, i64 sample, i64 channel, Share share, Use use) {
  typedef Pack<TRUTH, COUNT> Truths;
  typedef Pack<PRED, COUNT> Preds;
  typedef Pack<Inside, COUNT> Insides;
  const auto packs = [&](const Truths &t, const Preds &p, const Insides &m) {
#pragma unroll
    for (int v = 0; v < COUNT; ++v)
      if (is_inside(m.values[v])) use(t.values[v], p.values[v]);
  };
  each_pack<Truths, Preds, Insides>(maps, sample, channel, share, packs, use);
}
