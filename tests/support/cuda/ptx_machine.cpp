// Runs the blocks of a grid. Threads take turns of a random number of instructions, so that whatever order a GPU may choose can
// occur; at a barrier they wait for the block, and at what a warp does together for the lanes that it names.
#include "ptx_machine.h"
#include <vector>

enum Kind : s32 { PLAIN, TOGETHER, BARRIER, EXIT };
enum Base : s32 { NUMBER, LOCAL_MEMORY, PARAMETERS, TID_X, NTID_X, CTAID_X, CTAID_Y, NCTAID_X, NCTAID_Y, LANEID, WARPID, BASES };

struct Instruction {
  void *run;
  s32 kind, guard, negated, operands;  // the cell of the predicate, -1 for none; where the operands begin
};
struct Constant {
  s64 value;
  s32 cell, base;  // what it is counted from
};
struct Program {
  const Instruction *instructions;
  const s32 *operands;
  const Constant *constants;
  u8 *met;  // for each instruction whether a thread has come to it and done it
  u32 constant_count, cells, begin;
  u32 local_bytes, shared_bytes, param_bytes;
};
struct Launch {
  const char *job;
  const Range *known;
  u32 x, y, threads, shared_bytes, known_count;
  u64 most_steps;  // of the threads of a block together
};

namespace {
enum State { RUNNING, AT_BARRIER, WITH_WARP, GONE };

struct Block {
  const Program &program;
  u32 threads;
  Machine machine;
  std::vector<u64> cells;
  std::vector<u32> next;
  std::vector<State> state;
  std::vector<char> locals, shared, param;
  std::vector<Touched> touched;
  u32 seed = 1, waiting = 0, gone = 0;
  u64 steps_left;

  Block(const Program &p, const Launch &launch)
      : program(p), threads(launch.threads), machine(), cells(p.cells * threads), next(threads), state(threads),
        locals(p.local_bytes * threads + 128), shared(p.shared_bytes + launch.shared_bytes + 256), param(p.param_bytes + 128),
        touched(shared.size()), steps_left(0) {
    machine.shared = aligned(shared);
    machine.shared_bytes = p.shared_bytes + launch.shared_bytes;
    machine.param = aligned(param);
    machine.param_bytes = p.param_bytes;
    machine.local_bytes = p.local_bytes;
    machine.touched = touched.data();
    machine.known = launch.known;
    machine.known_count = launch.known_count;
    memcpy(machine.param, launch.job, p.param_bytes);
    for (u32 k = 0; k < shared.size(); ++k) shared[k] = (char)0xAD;  // nobody may rely on zeros
  }

  static char *aligned(std::vector<char> &memory) { return (char *)(((u64)memory.data() + 127) & ~127ull); }
  char *local_of(u32 thread) { return aligned(locals) + program.local_bytes * thread; }
  u64 *cells_of(u32 thread) { return cells.data() + (u64)program.cells * thread; }
  u32 drawn() { return (seed = seed * 1664525 + 1013904223) >> 8; }

  void run(const Launch &launch, u32 x, u32 y) {
    for (u64 &cell : cells) cell = 0xDEADBEEFDEADBEEFull;
    ++machine.round;
    ++machine.block;
    waiting = gone = 0;
    steps_left = launch.most_steps;
    for (u32 t = 0; t < threads; ++t) {
      const u64 bases[BASES] = {0, (u64)local_of(t), (u64)machine.param, t, threads, x, y, launch.x, launch.y, t % WARP, t / WARP};
      for (u32 k = 0; k < program.constant_count; ++k) {
        const Constant &constant = program.constants[k];
        cells_of(t)[constant.cell] = bases[constant.base] + (u64)constant.value;
      }
      next[t] = program.begin;
      state[t] = RUNNING;
    }
    while (gone < threads) {
      bool moved = false;
      const u32 most = 1u << drawn() % 9, first = drawn();
      for (u32 k = 0; k < threads; ++k) {
        const u32 t = (k + first) % threads;
        if (state[t] != RUNNING) continue;
        moved = true;
        step(t, 1 + drawn() % most);
      }
      if (!moved) throw Fault{"threads wait for each other for ever: others have gone, or wait elsewhere"};
    }
  }

  void step(u32 t, u32 most) {
    u64 *const own = cells_of(t);
    machine.thread = t;
    machine.local = local_of(t);
    machine.next = next[t];
    if (steps_left < most) throw Fault{"it does not end"};
    steps_left -= most;
    while (most--) {
      const Instruction &here = program.instructions[machine.next++];
      if (here.guard >= 0 && (own[here.guard] & 1) == (u64)here.negated) continue;
      program.met[machine.next - 1] = 1;
      if (here.kind == PLAIN) {
        ((Plain *)here.run)(machine, own, program.operands + here.operands);
        continue;
      }
      if (here.kind == BARRIER) {
        state[t] = AT_BARRIER;
        ++waiting;
        leave_barrier();
      } else if (here.kind == EXIT) {
        state[t] = GONE;
        ++gone;
        leave_barrier();
        meet(t / WARP);
      } else {
        state[t] = WITH_WARP;
        next[t] = machine.next;
        meet(t / WARP);
      }
      break;
    }
    next[t] = machine.next;
  }

  // All have come, or none comes any more.
  void leave_barrier() {
    if (!waiting || waiting + gone < threads) return;
    if (gone) throw Fault{"a barrier that not all threads of the block come to"};
    ++machine.round;
    waiting = 0;
    for (u32 t = 0; t < threads; ++t) state[t] = RUNNING;
  }

  const Instruction &waits_at(u32 thread) const { return program.instructions[next[thread] - 1]; }
  u32 mask_of(u32 thread) { return (u32)cells_of(thread)[program.operands[waits_at(thread).operands]]; }

  // Let lanes go on that have all come to the same instruction with the same mask, which is its first operand.
  void meet(u32 warp) {
    const u32 begin = warp * WARP;
    u32 there = 0;
    for (u32 lane = 0; lane < WARP && begin + lane < threads; ++lane) there |= (u32)(state[begin + lane] != GONE) << lane;
    for (u32 lane = 0; lane < WARP; ++lane) {
      const u32 t = begin + lane;
      if (!(there >> lane & 1) || state[t] != WITH_WARP) continue;
      const u32 mask = mask_of(t);
      if (!(mask >> lane & 1)) throw Fault{"a lane that is not in its own mask"};
      Group group = {};
      group.lanes = mask & there;
      bool all = true;
      for (u32 other = 0; other < WARP && all; ++other) {
        if (!(group.lanes >> other & 1)) continue;
        const u32 o = begin + other;
        all = state[o] == WITH_WARP && waits_at(o).run == waits_at(t).run && mask_of(o) == mask;
        if (!all) break;
        group.cells[other] = cells_of(o);
        group.operands[other] = program.operands + waits_at(o).operands;
      }
      if (!all) continue;
      ((Together *)waits_at(t).run)(group);
      for (u32 other = 0; other < WARP; ++other)
        if (group.lanes >> other & 1) {
          state[begin + other] = RUNNING;
          ++machine.turn[begin + other];
        }
    }
  }
};
}  // namespace

// Run a grid; return what went wrong, and at which instruction of which thread.
extern "C" const char *run(const Program *program, const Launch *launch, u32 *where) {
  Block block(*program, *launch);
  try {
    for (u32 y = 0; y < launch->y; ++y)
      for (u32 x = launch->x; x-- > 0;) block.run(*launch, x, y);
  } catch (const Fault &fault) {
    where[0] = block.machine.next - 1;
    where[1] = block.machine.thread;
    return fault.said;
  }
  return nullptr;
}
