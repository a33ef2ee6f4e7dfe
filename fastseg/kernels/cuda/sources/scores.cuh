// Scores of CHANNELS classes and their truth, and how a voxel of them is looked at: what sums and gradients share.
//
// SCORE and TRUTH are the types of the arrays; ACTIVATION says what the scores are. SOFT is 1 where the truth has a number for
// every class, else it is a label map. MASKED is 1 where there is a region of interest, of numbers of the type MASK. LINE is 1
// where the voxels of every array lie at equal steps. SCALED is 1 where scores are divided by a number, as percentages are. WEIGHTED is 1
// where voxels have weights, of the type WEIGHT.
#pragma once
#include "common.cuh"

#ifndef WEIGHTED
#define WEIGHTED 0
#endif
#ifndef PACKED
#define PACKED 0
#endif

#define PROBABILITIES 0
#define SOFTMAX 1
#define SIGMOID 2

#define INFINITE bits_as_float(0x7f800000u)

struct Scores {
  Array scores, truth, mask, out, weight;
  i64 sizes[MOST_AXES];  // of the axes, the last of which changes first
  i64 voxels, samples;   // voxels of each sample
  i64 axes;
  const i64 *ignored;  // true labels that are not looked at
  i64 ignored_labels;
  float tolerance;  // how far from 1 the probabilities of a voxel may sum; negative: they may sum to anything
  float scale;      // what scores are divided by
};

constexpr bool BINARY = ACTIVATION == SIGMOID || CHANNELS == 1;  // each class is a question of its own
constexpr i32 LABELS = CHANNELS > 2 ? CHANNELS : 2;
constexpr i32 FIRST_LABEL = CHANNELS == 1 ? 1 : 0;  // of the first channel
#define KEPT (CHANNELS <= (SOFT ? 16 : 32))         // a voxel's scores stay in registers
constexpr int UNROLL = KEPT ? CHANNELS : 4;

// What a voxel that has no label of its own is.
constexpr i32 OUTSIDE = -1, IGNORED = -2, WRONG = -3, NOT_THERE = -4;

// Where a voxel's numbers lie: those of the first channel.
struct Place {
  const SCORE *score;
  const TRUTH *truth;
  i64 mask, out;
#if WEIGHTED
  const WEIGHT *weight;
#endif
};

#if LINE
// How many numbers lie between neighbours: known to be 1 where voxels lie side by side.
#define STEP(array) (PACKED == 1 ? 1 : given.array.steps[0])

// Where the numbers of a voxel lie that is so many beyond another one.
__device__ inline Place beyond(const Scores &given, Place at, i64 voxels) {
  at.score += voxels * STEP(scores);
  at.truth += voxels * STEP(truth);
  at.mask += voxels * STEP(mask);
  at.out += voxels * STEP(out);
#if WEIGHTED
  at.weight += voxels * STEP(weight);
#endif
  return at;
}
#endif

__device__ inline Place place_of(const Scores &given, i64 sample, i64 voxel) {
  Place at = {(const SCORE *)given.scores.data + sample * given.scores.sample_step,
              (const TRUTH *)given.truth.data + sample * given.truth.sample_step,
              sample * given.mask.sample_step,
              sample * given.out.sample_step,
#if WEIGHTED
              (const WEIGHT *)given.weight.data + sample * given.weight.sample_step,
#endif
  };
#if LINE
  return beyond(given, at, voxel);
#else
  for (int axis = (int)given.axes - 1; axis >= 0; --axis) {
    const i64 next = voxel / given.sizes[axis], index = voxel - next * given.sizes[axis];
    at.score += index * given.scores.steps[axis];
    at.truth += index * given.truth.steps[axis];
    at.mask += index * given.mask.steps[axis];
    at.out += index * given.out.steps[axis];
#if WEIGHTED
    at.weight += index * given.weight.steps[axis];
#endif
    voxel = next;
  }
  return at;
#endif
}

__device__ inline float score_of(const Scores &given, SCORE value) {
  const float score = (float)number(value);
  return SCALED ? score / given.scale : score;
}

// How many numbers of a row are read at once, of 16 bytes at most.
template <typename T>
__device__ constexpr int widest(int numbers) {
  int wide = 16 / (int)sizeof(T);
  while (numbers % wide) wide /= 2;
  return wide;
}

__device__ inline float score_at(const Scores &given, const Place &at, int channel) {
  return score_of(given, at.score[channel * given.scores.channel_step]);
}

__device__ inline float truth_at(const Scores &given, const Place &at, int channel) {
  return (float)number(at.truth[channel * given.truth.channel_step]);
}

#if WEIGHTED
// Whether a weight is allowed: products with it stay within float.
__device__ inline bool is_weight(float w) { return w == 0 || (w >= 1e-30f && w <= 1e30f); }
__device__ inline bool is_weight(double w) { return w == 0 || (w >= 1e-30 && w <= 1e30); }
template <typename T>
__device__ inline bool is_weight(T w) {
  return is_weight((double)w);
}
#endif

// The true label of a voxel, or why it has none. A soft truth has labels of its own: 0 where a voxel is looked at.
__device__ inline i32 code_of(const Scores &given, const Place &at) {
#if MASKED
  if (!number(((const MASK *)given.mask.data)[at.mask])) return OUTSIDE;
#endif
#if SOFT
  return 0;
#else
  bool wrong = false;
  const i64 label = whole_number(number(*at.truth), wrong);
  if (wrong) return WRONG;
  for (i64 k = 0; k < given.ignored_labels; ++k)
    if (label == given.ignored[k]) return IGNORED;
  return (u64)label < (u64)LABELS ? (i32)label : WRONG;
#endif
}

// The truth of a channel: of a label map by the voxel's label.
__device__ inline float truth_of(const Scores &given, const Place &at, i32 code, int channel) {
#if SOFT
  return truth_at(given, at, channel);
#else
  return code == channel + FIRST_LABEL ? 1.0f : 0.0f;
#endif
}

__device__ inline bool in_range(float p) { return p >= -1e-3f && p <= 1.001f; }  // false of NaN

// What all scores of a voxel come to.
struct Voxel {
  float top;      // the largest
  float likely;   // softmax: the probability of that class
  float rest;     // softmax: that of all others
  float log;      // softmax: minus the logarithm of the largest probability
  i32 first;      // the label of the largest, the first of equals
  bool bad;       // something is not allowed
};

constexpr float BITS_OF_E = 1.44269504f;  // the logarithm of e, of base 2

// e to a power that is not positive, to about one part in 4 million, and as many more as the power is long.
__device__ inline float exponential(float power) { return two_to(power * BITS_OF_E); }

// The logarithm of 1 + x, of x from 0 to some thousands: x is kept where 1 + x would lose it.
__device__ inline float log_of_one_and(float x) {
  // 1 + x is m 2^e with m from 3/4 to 3/2; the logarithm of m = 1 + t is t + t t q(t), q a polynomial within 3e-8 of that.
  const u32 e = (float_as_bits(1 + x) - 0x3f400000u) & 0xff800000u;  // at its place in a float
  const float scale = bits_as_float(0x3f800000u - e), t = fmaf(x, scale, scale - 1);
  float q = 0.054132473f;
  q = fmaf(q, t, -0.12067367f);
  q = fmaf(q, t, 0.14983916f);
  q = fmaf(q, t, -0.16822812f);
  q = fmaf(q, t, 0.19977078f);
  q = fmaf(q, t, -0.24993442f);
  q = fmaf(q, t, 0.3333355f);
  q = fmaf(q, t, -0.5000006f);
  return fmaf((float)(i32)e, 8.2629582e-8f, fmaf(t * t, q, t));  // ln 2 / 2^23
}

#if ACTIVATION == SOFTMAX
// The largest logit so far, and the exponentials of all others by it; `others` and NaN stay so.
struct Largest {
  float top, others;
  i32 first;
};

// Look at some more logits, which are in registers: less often than for each of them another one is the largest.
template <int COUNT, typename Score>
__device__ inline void look_at_some(const Score &score, int begin, Largest &found) {
  float z[COUNT], top = found.top;
#pragma unroll
  for (int k = 0; k < COUNT; ++k) {
    z[k] = score(begin + k);
    top = larger(top, z[k]);
  }
  if (!(top == found.top)) {
    found.others = (found.others + 1) * exponential(found.top - top);
    found.top = top;
#pragma unroll
    for (int k = COUNT - 1; k >= 0; --k)
      if (z[k] == top) found.first = begin + k;
  }
  const float from = top == -INFINITE ? 0 : top;
  float part = 0;
#pragma unroll
  for (int k = 0; k < COUNT; ++k)
    if (begin + k != found.first) part += exponential(z[k] - from);
  found.others += part;
}
#endif

// `score` returns the score of a channel.
template <typename Score>
__device__ inline Voxel look_at(const Scores &given, const Score &score) {
  Voxel found = {score(0), 1, 0, 0, 0, false};
#if ACTIVATION == SOFTMAX
  constexpr int BLOCK = 8, WHOLE = CHANNELS / BLOCK * BLOCK;
  Largest largest = {-INFINITE, 0, 0};
#pragma unroll 1
  for (int begin = 0; begin < WHOLE; begin += BLOCK) look_at_some<BLOCK>(score, begin, largest);
  if (CHANNELS > WHOLE) look_at_some<CHANNELS == WHOLE ? 1 : CHANNELS - WHOLE>(score, WHOLE, largest);
  const float top = largest.top, others = largest.others;
  found.top = top;
  found.first = largest.first;
  found.bad = !(top < INFINITE && top > -INFINITE) || others != others;
  found.likely = reciprocal(1 + others);
  found.rest = others * found.likely;
  found.log = log_of_one_and(others);
#else
  float sum = 0;
#pragma unroll 4
  for (int c = 0; c < CHANNELS; ++c) {
    const float z = score(c);
    if (z > found.top) {
      found.top = z;
      found.first = c;
    }
    sum += z;
    found.bad |= ACTIVATION == SIGMOID ? !(z < INFINITE) : !in_range(z);
  }
  if (ACTIVATION == PROBABILITIES && given.tolerance >= 0) {
    const float off = sum - 1;
    found.bad |= !(off <= given.tolerance && -off <= given.tolerance);
  }
  if (CHANNELS == 1) found.first = found.top > (ACTIVATION == SIGMOID ? 0.0f : 0.5f);
#endif
  return found;
}

#if KEPT && ACTIVATION == SOFTMAX
// The same of logits that are all in registers; probabilities take their place.
__device__ inline Voxel probabilities(float (&z)[CHANNELS]) {
  float top = z[0];
#pragma unroll
  for (int c = 1; c < CHANNELS; ++c) top = larger(top, z[c]);
  const bool bad = !(top < INFINITE && top > -INFINITE);  // of NaN, infinities, and where all are -infinity
  // Exponentials by a number that is the largest but for a rounding, of which they all have the same: so do those of the largest.
  float shift = top * BITS_OF_E, top_there = top;
  if (!bad && !(fabsf(shift) < INFINITE)) {  // then all others are infinitely far away
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) z[c] = z[c] == top ? 0 : -INFINITE;
    shift = top_there = 0;
  }
  u32 largest = 0;  // a bit for each class that has the largest logit
  float others = 0;
#pragma unroll
  for (int c = 0; c < CHANNELS; ++c) {
    const bool is_top = z[c] == top_there;
    z[c] = two_to(fmaf(z[c], BITS_OF_E, -shift));
    if (is_top)
      largest |= 1u << c;
    else
      others += z[c];
  }
  const float of_top = two_to(fmaf(top_there, BITS_OF_E, -shift));
  others += of_top * (float)(__popc(largest) - 1);
  const float factor = reciprocal(of_top + others);
#pragma unroll
  for (int c = 0; c < CHANNELS; ++c) z[c] *= factor;
  return {top, of_top * factor, others * factor, log_of_one_and(others * reciprocal(of_top)), __ffs(largest) - 1, bad};
}
#endif

// A probability, 1 less it, and minus the logarithms of both.
struct Chance {
  float p, q, log, other_log;
};

// `logs` tells whether the logarithms are asked for.
__device__ inline Chance chance_of(float z, int channel, const Voxel &voxel, bool logs) {
#if ACTIVATION == SOFTMAX
  const float away = voxel.top - z, p = exponential(-away) * voxel.likely;
  return {p, channel == voxel.first ? voxel.rest : 1 - p, away + voxel.log, 0};
#elif ACTIVATION == SIGMOID
  const float size = fabsf(z), small = exponential(-size), likely = reciprocal(1 + small), seldom = small * likely;
  const float log = logs ? log_of_one_and(small) : 0;
  return z > 0 ? Chance{likely, seldom, log, size + log} : Chance{seldom, likely, size + log, log};
#else
  const float q = 1 - z;
  if (!logs) return {z, q, 0, 0};
  return {z, q, -logf(z > 0 ? z : 0), -logf(q > 0 ? q : 0)};
#endif
}

// A product in which nothing times infinity is nothing.
__device__ inline float times(float a, float b) { return a == 0 || b == 0 ? 0 : a * b; }
