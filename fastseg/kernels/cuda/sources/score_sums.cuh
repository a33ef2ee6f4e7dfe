// Sums over scores, of any number of classes and any truth: for each class of each sample what soft Dice, cross-entropy and their
// kind are made of, and how often each true label meets each most probable one.
//
// A block takes a part of a sample, TILE voxels at a time: first each thread looks at all classes of some voxels, then each warp at
// some classes of all these voxels, whose scores are in a cache by then. No sum has two writers, so none depends on who comes
// first: the parts are as the host says, whatever the grid, and `fold_sums` adds them up in order.
#include "scores.cuh"
#include "weights.cuh"

#define SHARED 0
#define GLOBAL 1

struct Job {
  Scores given;
  i64 parts, part_voxels;  // of a sample
  double *partial;         // (samples, parts, ROWS, CHANNELS)
  u64 *table;              // (samples, LABELS, LABELS)
  u64 *numbers;            // (samples, 3): voxels ignored, outside and wrong
  const u64 *largest;      // the bits of the largest weight, a double
  u64 *weights;            // (samples, LABELS, LABELS, WORDS)
  float gamma;             // of the focal loss
  float padding;
};

// As many voxels as a cache holds those of, of all blocks.
constexpr int BYTES = CHANNELS * (sizeof(SCORE) + (SOFT ? sizeof(TRUTH) : 0));
constexpr int TILE = (BYTES <= 112 ? 4 : BYTES <= 224 ? 2 : 1) * THREADS, WARPS = THREADS / 32;
constexpr bool LOGS = CROSS_ENTROPY || FOCAL || SMOOTHING;
// That a warp looks at together, by what they come to.
constexpr int CLASSES = CHANNELS < 4 * WARPS ? 1 : ROWS <= 4 ? 4 : ROWS <= 8 ? 2 : 1;

#if ROWS  // none where only the most probable classes are asked for
// What a voxel adds to the sums of a class.
struct Terms {
  float values[ROWS];
};

__device__ inline Terms terms_of(const Job &job, const Chance &chance, float t) {
  [[maybe_unused]] const float p = chance.p, q = chance.q;
  Terms terms;
  int row = 0;
#if DICE
  terms.values[row++] = p * t;
  terms.values[row++] = p;
  terms.values[row++] = p * p;
#endif
#if SOFT
  terms.values[row++] = t;
#endif
#if DICE && SOFT
  terms.values[row++] = t * t;
#endif
#if CROSS_ENTROPY
  terms.values[row++] = times(t, chance.log) + (BINARY ? times(1 - t, chance.other_log) : 0);
#endif
#if ABSOLUTE || BRIER
  const float miss = t > 0.5f ? (1 - t) - q : p - t;  // p - t, without cancellation where both are near 1
#endif
#if ABSOLUTE
  terms.values[row++] = fabsf(miss);
#endif
#if BRIER
  terms.values[row++] = miss * miss;
#endif
#if SMOOTHING
  terms.values[row++] = BINARY ? chance.log / 2 + chance.other_log / 2 : chance.log;
#endif
#if FOCAL
  terms.values[row++] = times(t * powf(q > 0 ? q : 0, job.gamma), chance.log);
  terms.values[row++] = BINARY ? times((1 - t) * powf(p > 0 ? p : 0, job.gamma), chance.other_log) : 0;
#endif
#if WEIGHTED && SOFT
  terms.values[row++] = 1;  // the weights themselves
#endif
  return terms;
}

__device__ constexpr int power_of_two_from(int number) {
  int power = 1;
  while (power < number) power *= 2;
  return power;
}
constexpr int SUMS = power_of_two_from(CLASSES * ROWS);
static_assert(SUMS <= 32, "a lane for each of them");

// A step of that below, and all that follow: by a template, as a loop that is not unrolled keeps the values in local memory.
template <int FAR>
__device__ inline void give_and_add(float (&values)[SUMS]) {
  constexpr int half = SUMS * FAR / 32;
  const bool upper = threadIdx.x & FAR;
#pragma unroll
  for (int k = 0; k < (half ? half : 1); ++k) {
    const float given = half && !upper ? values[k + half] : values[k];
    const float kept = half && upper ? values[k + half] : values[k];
    values[k] = kept + __shfl_xor_sync(0xffffffffu, given, FAR);
  }
  if constexpr (FAR > 1) give_and_add<FAR / 2>(values);
}

// Add up over a warp what each lane has of some sums. Lane l returns sum l SUMS / 32 of them: at each step a lane gives away half of what
// it has, and adds the same half of another lane's.
__device__ inline float sum_of_warp(const Terms (&mine)[CLASSES]) {
  float values[SUMS];
#pragma unroll
  for (int k = 0; k < SUMS; ++k) values[k] = k < CLASSES * ROWS ? mine[k / ROWS].values[k % ROWS] : 0;
  give_and_add<16>(values);
  return values[0];
}
#endif

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) score_sums(const Job job) {
  __shared__ double sums[ROWS * CHANNELS + 1];
  __shared__ Voxel seen[TILE];
  __shared__ i16 codes[TILE];  // less than 0: not looked at
  __shared__ u32 numbers_here[3];
#if TABLE == SHARED
  DYNAMIC_SHARED(u32, table_here);
#endif
  const Scores &given = job.given;
  const i32 lane = threadIdx.x % 32, warp = threadIdx.x / 32;
#if WEIGHTED
  const double scale = scale_of(*job.largest);
#endif

  for (i64 unit = blockIdx.x; unit < given.samples * job.parts; unit += gridDim.x) {
    const i64 sample = unit / job.parts, begin = unit % job.parts * job.part_voxels;
    const i64 end = begin + job.part_voxels < given.voxels ? begin + job.part_voxels : given.voxels;
    u64 *const table = job.table + sample * LABELS * LABELS;
    for (i32 k = threadIdx.x; k < ROWS * CHANNELS; k += THREADS) sums[k] = 0;
    if (threadIdx.x < 3) numbers_here[threadIdx.x] = 0;
#if TABLE == SHARED
    for (i32 cell = threadIdx.x; cell < LABELS * LABELS; cell += THREADS) table_here[cell] = 0;
#endif
    __syncthreads();
    u32 ignored = 0, outside = 0, wrong = 0;
#if WEIGHTED
    WeightRun run = {};
#endif

    for (i64 start = begin; start < end; start += TILE) {
      const i32 count = end - start < TILE ? (i32)(end - start) : TILE;
      for (i32 k = threadIdx.x; k < count; k += THREADS) {
        const Place at = place_of(given, sample, start + k);
        i32 code = code_of(given, at);
        if (code >= 0) {
          seen[k] = look_at(given, [&](int c) { return score_at(given, at, c); });
          bool bad = seen[k].bad;
          i32 label = code;
#if SOFT
          float largest = -INFINITE;
          for (int c = 0; c < CHANNELS; ++c) {
            const float t = truth_at(given, at, c);
            bad |= !in_range(t);
            if (t > largest) {
              largest = t;
              label = c;
            }
          }
          if (CHANNELS == 1) label = largest > 0.5f;
#endif
#if WEIGHTED
          const auto weight = number(*at.weight);
          bad |= !is_weight(weight);
#endif
          if (bad) {
            code = WRONG;
          } else {
            const i32 cell = label * LABELS + (ARGMAX ? seen[k].first : label);
#if TABLE == SHARED
            atomicAdd(table_here + cell, 1u);
#else
            atomicAdd(table + cell, 1);
#endif
#if WEIGHTED
            run.add(job.weights + (sample * LABELS * LABELS + cell) * WORDS, (double)weight * scale);
#endif
          }
        }
        codes[k] = (i16)code;
        ignored += code == IGNORED;
        outside += code == OUTSIDE;
        wrong += code == WRONG;
      }
      __syncthreads();

#if ROWS
      for (int begin = warp * CLASSES; begin < CHANNELS; begin += WARPS * CLASSES) {
        Terms mine[CLASSES] = {};
        for (i32 k = lane; k < count; k += 32) {
          if (codes[k] < 0) continue;
          const Place at = place_of(given, sample, start + k);
          const Voxel voxel = seen[k];
#if WEIGHTED
          const float weight = (float)number(*at.weight);
#endif
#pragma unroll
          for (int j = 0; j < CLASSES; ++j) {
            const int c = begin + j;
            if (c >= CHANNELS) break;
            const Chance chance = chance_of(score_at(given, at, c), c, voxel, LOGS);
            const Terms more = terms_of(job, chance, truth_of(given, at, codes[k], c));
#pragma unroll
            for (int row = 0; row < ROWS; ++row)
#if WEIGHTED
              mine[j].values[row] += times(weight, more.values[row]);
#else
              mine[j].values[row] += more.values[row];
#endif
          }
        }
        const float sum = sum_of_warp(mine);
        const int place = lane / (32 / SUMS), row = place % ROWS, c = begin + place / ROWS;
        if (lane % (32 / SUMS) == 0 && place < CLASSES * ROWS && c < CHANNELS) sums[row * CHANNELS + c] += sum;
      }
#endif
      __syncthreads();
    }

#if WEIGHTED
    run.end();
#endif
    const u32 numbers[3] = {ignored, outside, wrong};
#pragma unroll
    for (int k = 0; k < 3; ++k)
      if (numbers[k]) atomicAdd(numbers_here + k, numbers[k]);
    __syncthreads();
    for (i32 k = threadIdx.x; k < ROWS * CHANNELS; k += THREADS) job.partial[unit * (ROWS * CHANNELS) + k] = sums[k];
    if (threadIdx.x < 3 && numbers_here[threadIdx.x])
      atomicAdd(job.numbers + sample * 3 + threadIdx.x, (u64)numbers_here[threadIdx.x]);
#if TABLE == SHARED
    for (i32 cell = threadIdx.x; cell < LABELS * LABELS; cell += THREADS)
      if (table_here[cell]) atomicAdd(table + cell, (u64)table_here[cell]);
#endif
    __syncthreads();
  }
}
