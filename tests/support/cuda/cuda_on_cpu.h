// CUDA's words for a compiler for CPUs, so that the text of a kernel can be run without a GPU: the threads of a block are fibers that
// take turns, a barrier is where they hand over, and what warps do together they do at barriers of their own. It finds wrong
// answers; races it cannot find, as only one fiber runs at a time.
#pragma once
#include <cmath>
#include <csetjmp>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector>

#define CUDA_ON_CPU
#define __global__
#define __device__
#define __shared__ static
#define __launch_bounds__(...)
#define __noinline__
#define FORGET_MEMORY()
#define DYNAMIC_SHARED(type, name) type *const name = (type *)cpu::shared.data()

struct Three {
  unsigned x, y, z;
};
static Three threadIdx, blockIdx, blockDim, gridDim;

namespace cpu {
struct Fiber {
  ucontext_t context;
  jmp_buf here;
  std::vector<char> stack;
  bool begun, done;
};
static std::vector<Fiber> fibers;
static std::vector<unsigned long long> shared;
static ucontext_t start;
static jmp_buf scheduler;
static unsigned current, seed;
static void (*body)(const void *);
static const void *argument;

// Jumps ask nothing of the system, as switches of contexts do: a context only begins.
static void hand_over() {
  Fiber &me = fibers[current];
  if (!_setjmp(me.here)) _longjmp(scheduler, 1);
}

static void take_over(Fiber &fiber) {
  if (_setjmp(scheduler)) return;
  if (fiber.begun) _longjmp(fiber.here, 1);
  fiber.begun = true;
  swapcontext(&start, &fiber.context);
}

static void blocks() {
  for (;;) {
    body(argument);
    fibers[current].done = true;
    hand_over();
  }
}

// Where so many threads wait for each other.
struct Barrier {
  unsigned arrived, generation;

  void wait(unsigned all) {
    const unsigned before = generation;
    if (++arrived == all) {
      arrived = 0;
      ++generation;
    }
    do hand_over();
    while (generation == before);
  }
};
static Barrier of_block, of_warp[32];
static unsigned long long slots[1024];

static void wait_for_block() { of_block.wait(blockDim.x); }
static void wait_for_warp() { of_warp[threadIdx.x / 32].wait(32); }

// What another thread of the warp has.
template <typename T>
static T given_by(T value, unsigned lane) {
  memcpy(slots + threadIdx.x, &value, sizeof value);
  wait_for_warp();
  memcpy(&value, slots + threadIdx.x / 32 * 32 + lane % 32, sizeof value);
  wait_for_warp();
  return value;
}

// Between two barriers the threads of a block run in an order of their own, another each time.
static void run_block(unsigned threads) {
  if (fibers.size() < threads) {
    fibers = std::vector<Fiber>(threads);
    for (Fiber &fiber : fibers) {
      fiber.stack.resize(1 << 16);
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.data();
      fiber.context.uc_stack.ss_size = fiber.stack.size();
      fiber.context.uc_link = nullptr;
      makecontext(&fiber.context, blocks, 0);
    }
  }
  unsigned left = threads;
  for (unsigned t = 0; t < threads; ++t) fibers[t].done = false;
  while (left) {
    const unsigned turn = (seed = seed * 1664525 + 1013904223) >> 8;
    for (unsigned t = 0; t < threads; ++t) {
      current = (t + turn) % threads;
      if (fibers[current].done) continue;
      threadIdx = {current, 0, 0};
      take_over(fibers[current]);
      left -= fibers[current].done;
    }
  }
}

static void run_grid(void (*kernel)(const void *), const void *job, Three grid, unsigned threads, unsigned shared_bytes) {
  body = kernel;
  argument = job;
  gridDim = grid;
  blockDim = {threads, 1, 1};
  shared.assign(shared_bytes / 8 + 1, 0xDEADBEEFDEADBEEFull);  // nobody may rely on zeros
  for (unsigned y = 0; y < grid.y; ++y)
    for (unsigned x = grid.x; x-- > 0;) {
      blockIdx = {x, y, 0};
      run_block(threads);
    }
}
}  // namespace cpu

#define __syncthreads cpu::wait_for_block
#define __syncwarp cpu::wait_for_warp

template <typename T>
static inline T __shfl_xor_sync(unsigned, T value, int lanes) {
  return cpu::given_by(value, threadIdx.x ^ lanes);
}

template <typename T>
static inline T __shfl_sync(unsigned, T value, int lane) {
  return cpu::given_by(value, lane);
}

static inline bool __all_sync(unsigned, bool mine) {
  bool all = true;
  for (unsigned lane = 0; lane < 32; ++lane) all &= cpu::given_by(mine, lane);
  return all;
}

// Four of the eight bytes of two numbers, each chosen by four bits.
static inline unsigned __byte_perm(unsigned a, unsigned b, unsigned which) {
  const unsigned long long bytes = (unsigned long long)b << 32 | a;
  unsigned found = 0;
  for (unsigned k = 0; k < 4; ++k) found |= (unsigned)(bytes >> 8 * (which >> 4 * k & 7) & 255) << 8 * k;
  return found;
}

static inline unsigned by_highest_bits(unsigned four) { return (four >> 7 & 0x01010101u) * 255; }

// Products of two numbers of 16 bits and two of the bytes, summed; and of four bytes each.
static inline unsigned __dp2a_lo(unsigned a, unsigned b, unsigned c) {
  return c + (a & 0xffff) * (b & 255) + (a >> 16) * (b >> 8 & 255);
}
static inline unsigned __dp2a_hi(unsigned a, unsigned b, unsigned c) { return __dp2a_lo(a, b >> 16, c); }
static inline unsigned __dp4a(unsigned a, unsigned b, unsigned c) {
  for (unsigned k = 0; k < 32; k += 8) c += (a >> k & 255) * (b >> k & 255);
  return c;
}

template <typename T, typename V>
static inline T atomicAdd(T *place, V value) {
  const T before = *place;
  *place = before + (T)value;
  return before;
}

template <typename T>
static inline T atomicMax(T *place, T value) {
  const T before = *place;
  if (value > before) *place = value;
  return before;
}

template <typename T>
static inline T atomicCAS(T *place, T expected, T value) {
  const T before = *place;
  if (before == expected) *place = value;
  return before;
}

#define __popc __builtin_popcount
#define __ffs __builtin_ffs

static inline float larger(float a, float b) { return a != a || b != b ? NAN : a > b ? a : b; }
static inline float two_to(float power) { return power < -126 ? 0 : exp2f(power); }
static inline float reciprocal(float value) { return 1 / value; }

// The bits of the nearest half precision number, ties to even.
static inline unsigned short half_bits(float value) {
  const _Float16 half = (_Float16)value;
  unsigned short bits;
  memcpy(&bits, &half, 2);
  return bits;
}
