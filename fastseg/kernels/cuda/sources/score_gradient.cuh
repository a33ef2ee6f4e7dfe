// The derivative of a loss by every score, from what its derivatives by the sums are made of: as `GradientTerms` says it,
// dL/dp = slope t + curve p + level - u / p with u = base + hit t, and from there to the logits. A thread writes all classes of a
// voxel; a voxel that is not looked at has zeros. FOCAL is 1 where the loss has a focal term: -u q^gamma ln p, with u = focal t.
// BESIDE is 1 where the classes of a voxel lie side by side, and some can be read and written together.
#include "scores.cuh"

struct Job {
  Scores given;
  const float *terms;  // (samples, TERMS, CHANNELS)
  float gamma, padding;
};

constexpr int TERMS = FOCAL ? 7 : 5;
constexpr int AT_ONCE = FOCAL ? 1 : UNROLL;  // classes; powers are long
enum { SLOPE, CURVE, LEVEL, BASE, HIT, FOCUS, FOCUS_OF_OTHERS };

__device__ inline void write(float *place, float value) { *place = value; }
#ifndef CUDA_ON_CPU
__device__ inline void write(half *place, float value) { asm("cvt.rn.f16.f32 %0, %1;" : "=h"(place->bits) : "f"(value)); }
#else
__device__ inline void write(half *place, float value) { place->bits = half_bits(value); }
#endif
__device__ inline void write(bfloat16 *place, float value) {
  const u32 bits = float_as_bits(value);
  place->bits = (u16)(value != value ? 0x7fff : (bits + 0x7fff + (bits >> 16 & 1)) >> 16);  // to the nearest, ties to even
}

#if FOCAL
// The derivative of -q^gamma ln p by p, q = 1 - p and `log` = -ln p; of logits times p q: by the logit of p.
__device__ inline float focal_slope(float p, float q, float log, float gamma) {
  const float power = powf(q > 0 ? q : 0, gamma);
#if ACTIVATION == PROBABILITIES
  if (!(p > 0)) return -INFINITE;
  return -power * (gamma * (q == 0 ? 1 : log / q) + 1 / p);
#else
  return -power * (gamma * times(p, log) + q);
#endif
}
#endif

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) score_gradient(const Job job) {
  __shared__ float terms[TERMS * CHANNELS];
  const Scores &given = job.given;

  for (i64 sample = blockIdx.y; sample < given.samples; sample += gridDim.y) {
    for (i32 k = threadIdx.x; k < TERMS * CHANNELS; k += THREADS) terms[k] = job.terms[sample * TERMS * CHANNELS + k];
    __syncthreads();

    for (i64 voxel = (i64)blockIdx.x * THREADS + threadIdx.x; voxel < given.voxels; voxel += (i64)gridDim.x * THREADS) {
      FORGET_MEMORY();  // else the terms of all classes are kept in registers
      const Place at = place_of(given, sample, voxel);
      OUT *const out = (OUT *)given.out.data + at.out;
#if BESIDE
      constexpr int READ = widest<SCORE>(CHANNELS), WRITTEN = widest<OUT>(CHANNELS);
      Pack<OUT, WRITTEN> pack;
      const auto put = [&](int c, float value) {  // in the order of channels
        write(pack.values + c % WRITTEN, value);
        if (c % WRITTEN == WRITTEN - 1) *(Pack<OUT, WRITTEN> *)(out + (c - c % WRITTEN)) = pack;
      };
#else
      const auto put = [&](int c, float value) { write(out + c * given.out.channel_step, value); };
#endif
      const i32 code = code_of(given, at);
      if (code < 0) {
#pragma unroll AT_ONCE
        for (int c = 0; c < CHANNELS; ++c) put(c, 0);
        continue;
      }
      const auto term = [&](int which, int c) { return terms[which * CHANNELS + c]; };
      const auto overlap = [&](int c, float p, float t) { return term(SLOPE, c) * t + term(CURVE, c) * p + term(LEVEL, c); };
      const auto loss = [&](int c, float t) { return term(BASE, c) + term(HIT, c) * t; };

#if ACTIVATION == SOFTMAX
#if KEPT && !FOCAL
      float p[CHANNELS];
#if BESIDE
#pragma unroll
      for (int k = 0; k < CHANNELS; k += READ) {
        const auto scores = *(const Pack<SCORE, READ> *)(at.score + k);
#pragma unroll
        for (int j = 0; j < READ; ++j) p[k + j] = score_of(given, scores.values[j]);
      }
#else
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) p[c] = score_at(given, at, c);
#endif
      probabilities(p);
      const auto chance = [&](int c) { return p[c]; };
#else
      const Voxel all = look_at(given, [&](int c) { return score_at(given, at, c); });
      const auto chance = [&](int c) { return chance_of(score_at(given, at, c), c, all, false).p; };
#endif
#if FOCAL
      // By the logit of its own class, and by the logarithm of its probability, which all other logits see.
      struct Focal {
        float own, by_log;
      };
      const auto focal = [&](int c, float t) -> Focal {
        const float u = term(FOCUS, c) * t;
        if (u == 0) return {0, 0};
        const Chance here = chance_of(score_at(given, at, c), c, all, true);
        const float own = times(u, focal_slope(here.p, here.q, here.log, job.gamma));
        return {own, here.q > 0 ? own / here.q : job.gamma == 0 ? -u : 0};
      };
#endif
      float along = 0, losses = 0, others = 0;
#pragma unroll AT_ONCE
      for (int c = 0; c < CHANNELS; ++c) {
        const float t = truth_of(given, at, code, c), p_c = chance(c);
        along += p_c * overlap(c, p_c, t);
        losses += loss(c, t);
#if FOCAL
        others += focal(c, t).by_log;
#endif
      }
#pragma unroll AT_ONCE
      for (int c = 0; c < CHANNELS; ++c) {
        const float t = truth_of(given, at, code, c), p_c = chance(c);
#if FOCAL
        const Focal here = focal(c, t);
        put(c, p_c * (overlap(c, p_c, t) - along + losses) - loss(c, t) + here.own - p_c * (others - here.by_log));
#else
        put(c, p_c * (overlap(c, p_c, t) - along + losses) - loss(c, t));
#endif
      }
#else
#pragma unroll 4
      for (int c = 0; c < CHANNELS; ++c) {
        const float t = truth_of(given, at, code, c);
        const Chance chance = chance_of(score_at(given, at, c), c, Voxel(), FOCAL);
        const float p_c = chance.p, miss = t > 0.5f ? (1 - t) - chance.q : p_c - t;
        float more = 0;
#if FOCAL
        more = times(term(FOCUS, c) * t, focal_slope(p_c, chance.q, chance.log, job.gamma));
        if (BINARY) more -= times(term(FOCUS_OF_OTHERS, c) * (1 - t), focal_slope(chance.q, p_c, chance.other_log, job.gamma));
#endif
        if (ACTIVATION == SIGMOID) {
          put(c, more + p_c * chance.q * overlap(c, p_c, t) + term(HIT, c) * miss);
        } else {
          const float part = BINARY ? -term(HIT, c) * miss : loss(c, t);
          put(c, more + overlap(c, p_c, t) - (part == 0 ? 0 : part / (BINARY ? p_c * chance.q : p_c)));
        }
      }
#endif
    }
    __syncthreads();
  }
}
