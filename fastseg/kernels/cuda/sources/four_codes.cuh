// The codes of labels of a byte each, four at a time.
#pragma once
#include "words.cuh"

#ifndef CUDA_ON_CPU
// A byte of ones for each byte of a number whose highest bit is one, else of zeros.
__device__ inline u32 by_highest_bits(u32 four) {
  u32 result;
  asm("prmt.b32 %0, %1, 0, 0xba98;" : "=r"(result) : "r"(four));
  return result;
}
#endif

// Whether all threads of the warp have the same pair of labels, and nothing else.
__device__ inline bool is_one_pair(const Words &truth, const Words &pred) {
  const u32 t = truth.four[0], p = pred.four[0], both = __byte_perm(t, p, 0x5140);
  u32 other = (t ^ __byte_perm(t, 0, 0)) | (p ^ __byte_perm(p, 0, 0)) | (both ^ __shfl_sync(0xffffffffu, both, 0));
#pragma unroll
  for (int w = 1; w < 4; ++w) other |= (truth.four[w] ^ t) | (pred.four[w] ^ p);
  return __all_sync(0xffffffffu, other == 0);
}

// How codes of bytes are found four at a time: labels 0, 1, 2 and so on are codes themselves up to the first that is not. `beyond` is
// what brings that one to 128, or to 256 where it is above 128; `low` is ones where it is not; `last` is the code of labels that are
// told apart from no other. Each byte of these three is the same.
struct FourCodes {
  u32 beyond, low, last;
  i32 looked_up;  // whether there are codes between, in a table
};

__device__ __noinline__ u32 codes_looked_up(u32 four, const u16 *codes) {
  u32 found = 0;
  for (int byte = 0; byte < 32; byte += 8) found |= (u32)codes[four >> byte & 255] << byte;
  return found;
}

// Four numbers of a map: of booleans 0 and 1, whatever their bytes are.
template <typename T>
__device__ inline u32 four_numbers(u32 four) {
  return four;
}
template <>
__device__ inline u32 four_numbers<boolean>(u32 four) {
  return (((four & 0x7f7f7f7fu) + 0x7f7f7f7fu) | four) >> 7 & 0x01010101u;
}

// Put codes where labels of a map of this type are; `codes` is the table, of all bytes.
template <typename T>
__device__ inline void find_codes(const FourCodes &how, const u16 *codes, Words &labels) {
  u32 past[4], any = 0;
#pragma unroll
  for (int w = 0; w < 4; ++w) labels.four[w] = four_numbers<T>(labels.four[w]);
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    // A label is not its own code where its lower seven bits and what is beyond reach the eighth, or that is one anyway; both must be
    // where more than 128 labels are their own codes.
    const u32 four = labels.four[w], sum = (four & 0x7f7f7f7fu) + how.beyond;
    past[w] = by_highest_bits((sum & four) | ((sum | four) & how.low));
    any |= past[w];
  }
  if (how.looked_up && any) {
#pragma unroll
    for (int w = 0; w < 4; ++w)
      if (past[w]) labels.four[w] = codes_looked_up(labels.four[w], codes);
  } else {
#pragma unroll
    for (int w = 0; w < 4; ++w) labels.four[w] = (labels.four[w] & ~past[w]) | (how.last & past[w]);
  }
}
