// Sums of weights in whole numbers. Sums of floating-point numbers depend on their order, so weights are added up in units of 2^-95 of
// the power of two above the largest weight, in three words that overlap in nothing.
#pragma once
#include "common.cuh"

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

// What the largest weight, of these bits, is multiplied by so that it is below 2^31: a power of two, which changes no digit.
__device__ inline double scale_of(u64 largest) {
  const i64 exponent = 31 - ((i64)(largest >> 52) - 1022);
  return power_of_two(exponent < 1000 ? exponent : 1000);
}

// The weights of a thread for one cell of a table after the other: so that few additions meet where there are few cells.
struct WeightRun {
  u64 *cell;
  u64 words[WORDS];

  __device__ void add(u64 *here, double scaled) {
    if (here != cell) {
      end();
      cell = here;
    }
#pragma unroll
    for (int word = 0; word < WORDS; ++word) {
      const u64 whole = (u64)(word == WORDS - 1 ? scaled + 0.5 : scaled);
      words[word] += whole;
      scaled = (scaled - (double)whole) * 4294967296.0;
    }
  }

  __device__ void end() {
#pragma unroll
    for (int word = 0; word < WORDS; ++word) {
      if (words[word]) atomicAdd(cell + word, words[word]);
      words[word] = 0;
    }
  }
};
