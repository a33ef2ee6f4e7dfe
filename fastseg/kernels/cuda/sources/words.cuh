// Sixteen numbers of a byte each that are read at once, four to a number of 32 bits.
#pragma once
#include "maps.cuh"

struct alignas(16) Words {
  u32 four[4];
};

// Four numbers of the mask: none of them is 0 where there is no mask.
#if MASKED
typedef Words WordsInside;
__device__ inline u32 inside(const Words &mask, int w) { return mask.four[w]; }
#else
typedef Everywhere WordsInside;
__device__ inline u32 inside(Everywhere, int) { return 0x01010101u; }
#endif
