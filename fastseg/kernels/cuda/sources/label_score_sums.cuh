// What `score_sums` does for the usual case, in one read: soft Dice and cross-entropy of the logits of few classes beside a label
// map, by softmax.
//
// A thread keeps the scores of AT_ONCE voxels in registers, and what all its voxels come to: of every class there. What belongs to the
// true class alone it adds to a place of its own in shared memory. Every FLUSH voxels, before many roundings have come one after
// another, the block adds its threads up, a warp a row, in an order that is always the same. PACKED is 1 where voxels lie side by side,
// and those that are looked at together can be read together; 2 where their classes do; which those are does not depend on it.
#include "scores.cuh"

#define SHARED 0
#define GLOBAL 1

struct Job {
  Scores given;
  i64 parts, part_voxels;  // of a sample
  double *partial;         // (samples, parts, ROWS, CHANNELS)
  u64 *table;              // (samples, LABELS, LABELS)
  u64 *numbers;            // (samples, 3): voxels ignored, outside and wrong
  const u64 *largest;      // weights: not of these sums, nor what is below
  u64 *weights;
  float gamma, padding;
};

constexpr int FLUSH = 32 * THREADS, WARPS = THREADS / 32;
constexpr int OF_EACH = 2;  // rows of every class, and of the true one: p and p p; p t and the loss

// What a thread looks at together; at(a) is the place of one of them.
struct Group {
#if LINE
  Place begin;
  __device__ Place at(const Scores &given, int a) const { return beyond(given, begin, a); }
#else
  Place places[AT_ONCE];
  __device__ const Place &at(const Scores &, int a) const { return places[a]; }
#endif
  float z[AT_ONCE][CHANNELS];
};

#if PACKED == 2
constexpr int NUMBERS = AT_ONCE * CHANNELS, WIDE = widest<SCORE>(NUMBERS);
#endif

// Read the scores of some voxels, at most AT_ONCE; those beyond are the first one's, or any. `first` is the place of the sample's first
// voxel.
__device__ inline void read(const Scores &given, i64 sample, const Place &first, i64 voxel, int count, Group &group) {
#if LINE
  group.begin = beyond(given, first, voxel);
#else
#pragma unroll
  for (int a = 0; a < AT_ONCE; ++a) group.places[a] = place_of(given, sample, voxel + (a < count ? a : 0));
#endif
#if PACKED == 1
  if (count == AT_ONCE) {
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) {
      const auto pack = *(const Pack<SCORE, AT_ONCE> *)(group.begin.score + c * given.scores.channel_step);
#pragma unroll
      for (int a = 0; a < AT_ONCE; ++a) group.z[a][c] = score_of(given, pack.values[a]);
    }
    return;
  }
#elif PACKED == 2
  if (count == AT_ONCE) {
#pragma unroll
    for (int k = 0; k < NUMBERS; k += WIDE) {
      const auto pack = *(const Pack<SCORE, WIDE> *)(group.begin.score + k);
#pragma unroll
      for (int j = 0; j < WIDE; ++j) group.z[(k + j) / CHANNELS][(k + j) % CHANNELS] = score_of(given, pack.values[j]);
    }
    return;
  }
#endif
#pragma unroll
  for (int a = 0; a < AT_ONCE; ++a) {
    const Place at = group.at(given, LINE && a >= count ? 0 : a);
#pragma unroll
    for (int c = 0; c < CHANNELS; ++c) group.z[a][c] = score_at(given, at, c);
  }
}

// Add up what each thread has in some rows of shared memory, to the sums of the block; row by row.
__device__ inline void add_rows(const float *rows, double *sums, int count) {
  const i32 lane = threadIdx.x % 32;
  for (int row = threadIdx.x / 32; row < count; row += WARPS) {
    float sum = 0;
#pragma unroll
    for (int k = 0; k < WARPS; ++k) sum += rows[row * THREADS + k * 32 + lane];
#pragma unroll
    for (int far = 16; far; far /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, far);
    if (lane == 0) sums[row] += sum;
  }
}

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) label_score_sums(const Job job) {
  __shared__ double sums[2 * OF_EACH * CHANNELS];           // p, p p; p t, the loss: CHANNELS each
  __shared__ float rows[OF_EACH * CHANNELS * THREADS];      // a column a thread
  __shared__ u32 table_here[CHANNELS * CHANNELS];
  __shared__ u32 numbers_here[3];
  const Scores &given = job.given;
  float *const mine = rows + threadIdx.x;

  for (i64 unit = blockIdx.x; unit < given.samples * job.parts; unit += gridDim.x) {
    const i64 sample = unit / job.parts, begin = unit % job.parts * job.part_voxels;
    const i64 end = begin + job.part_voxels < given.voxels ? begin + job.part_voxels : given.voxels;
    for (i32 k = threadIdx.x; k < 2 * OF_EACH * CHANNELS; k += THREADS) sums[k] = 0;
    for (i32 cell = threadIdx.x; cell < CHANNELS * CHANNELS; cell += THREADS) table_here[cell] = 0;
    if (threadIdx.x < 3) numbers_here[threadIdx.x] = 0;
    for (int row = 0; row < OF_EACH * CHANNELS; ++row) mine[row * THREADS] = 0;
    __syncthreads();
    u32 ignored = 0, outside = 0, wrong = 0;
    const Place first = place_of(given, sample, 0);

    for (i64 start = begin; start < end; start += FLUSH) {
      const i64 stop = end - start < FLUSH ? end : start + FLUSH;
      float pred[CHANNELS], squares[CHANNELS];
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) pred[c] = squares[c] = 0;

      for (i64 voxel = start + threadIdx.x * AT_ONCE; voxel < stop; voxel += THREADS * AT_ONCE) {
        const int count = stop - voxel < AT_ONCE ? (int)(stop - voxel) : AT_ONCE;
        Group group;
        read(given, sample, first, voxel, count, group);  // before labels are known: they wait together
        i32 codes[AT_ONCE];
#pragma unroll
        for (int a = 0; a < AT_ONCE; ++a) codes[a] = a < count ? code_of(given, group.at(given, a)) : NOT_THERE;
#pragma unroll
        for (int a = 0; a < AT_ONCE; ++a) {
          float(&p)[CHANNELS] = group.z[a];
          const Voxel seen = probabilities(p);
          const i32 code = codes[a] >= 0 && seen.bad ? WRONG : codes[a];
          if (code < 0) {
            ignored += code == IGNORED;
            outside += code == OUTSIDE;
            wrong += code == WRONG;
            continue;
          }
          atomicAdd(table_here + code * CHANNELS + (ARGMAX ? seen.first : code), 1u);
#if DICE
#pragma unroll
          for (int c = 0; c < CHANNELS; ++c) {
            pred[c] += p[c];
            squares[c] += p[c] * p[c];
          }
#endif
          const float away = seen.top - score_at(given, group.at(given, a), code);  // in a cache: a register cannot be chosen by a number
#if DICE
          mine[code * THREADS] += exponential(-away) * seen.likely;
#endif
#if CROSS_ENTROPY
          mine[(CHANNELS + code) * THREADS] += away + seen.log;
#endif
        }
      }

      __syncthreads();
      add_rows(rows, sums + OF_EACH * CHANNELS, OF_EACH * CHANNELS);
      __syncthreads();
#if DICE
#pragma unroll
      for (int c = 0; c < CHANNELS; ++c) {
        mine[c * THREADS] = pred[c];
        mine[(CHANNELS + c) * THREADS] = squares[c];
      }
      __syncthreads();
      add_rows(rows, sums, OF_EACH * CHANNELS);
      __syncthreads();
#endif
      for (int row = 0; row < OF_EACH * CHANNELS; ++row) mine[row * THREADS] = 0;
    }

    const u32 numbers[3] = {ignored, outside, wrong};
#pragma unroll
    for (int k = 0; k < 3; ++k)
      if (numbers[k]) atomicAdd(numbers_here + k, numbers[k]);
    __syncthreads();
    double *const partial = job.partial + unit * (ROWS * CHANNELS);
    for (i32 c = threadIdx.x; c < CHANNELS; c += THREADS) {
#if DICE
      partial[c] = sums[2 * CHANNELS + c];
      partial[CHANNELS + c] = sums[c];
      partial[2 * CHANNELS + c] = sums[CHANNELS + c];
#endif
#if CROSS_ENTROPY
      partial[(ROWS - 1) * CHANNELS + c] = sums[3 * CHANNELS + c];
#endif
    }
    if (threadIdx.x < 3 && numbers_here[threadIdx.x])
      atomicAdd(job.numbers + sample * 3 + threadIdx.x, (u64)numbers_here[threadIdx.x]);
    for (i32 cell = threadIdx.x; cell < CHANNELS * CHANNELS; cell += THREADS)
      if (table_here[cell]) atomicAdd(job.table + sample * CHANNELS * CHANNELS + cell, (u64)table_here[cell]);
    __syncthreads();
  }
}
