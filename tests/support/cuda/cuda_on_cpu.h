// CUDA's words for a compiler for CPUs, so that the text of a kernel can be run without a GPU: the threads of a block are fibers that
// take turns, a barrier is where they hand over, and what warps do together they do at barriers of their own. It finds wrong
// answers; races it cannot find, as only one fiber runs at a time.
#pragma once
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
#define DYNAMIC_SHARED(type, name) type *const name = (type *)cpu::shared.data()

struct Three {
  unsigned x, y, z;
};
static Three threadIdx, blockIdx, blockDim, gridDim;

namespace cpu {
struct Fiber {
  ucontext_t context;
  std::vector<char> stack;
  bool done;
};
static std::vector<Fiber> fibers;
static std::vector<unsigned long long> shared;
static ucontext_t scheduler;
static unsigned current, seed;
static void (*body)(const void *);
static const void *argument;

static void enter() {
  body(argument);
  fibers[current].done = true;
  swapcontext(&fibers[current].context, &scheduler);
}

static void hand_over() {
  const unsigned me = current;
  swapcontext(&fibers[me].context, &scheduler);
}

// Between two barriers the threads of a block run in an order of their own, another each time.
static void run_block(unsigned threads) {
  if (fibers.size() < threads) fibers.resize(threads);
  for (unsigned t = 0; t < threads; ++t) {
    Fiber &fiber = fibers[t];
    if (fiber.stack.empty()) fiber.stack.resize(1 << 16);
    getcontext(&fiber.context);
    fiber.context.uc_stack.ss_sp = fiber.stack.data();
    fiber.context.uc_stack.ss_size = fiber.stack.size();
    fiber.context.uc_link = nullptr;
    fiber.done = false;
    makecontext(&fiber.context, enter, 0);
  }
  unsigned left = threads;
  while (left) {
    const unsigned turn = (seed = seed * 1664525 + 1013904223) >> 8;
    for (unsigned t = 0; t < threads; ++t) {
      current = (t + turn) % threads;
      if (fibers[current].done) continue;
      threadIdx = {current, 0, 0};
      swapcontext(&scheduler, &fibers[current].context);
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

#define __syncthreads cpu::hand_over

template <typename T, typename V>
static inline T atomicAdd(T *place, V value) {
  const T before = *place;
  *place = before + (T)value;
  return before;
}
