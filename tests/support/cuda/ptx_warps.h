// What the lanes of a warp do together, by PTX's manual. The first operand is the mask of who takes part; then the results.
#pragma once
#include "ptx_instructions.h"

#define EACH_LANE(w, lane) for (u32 lane = 0; lane < WARP; ++lane) if ((w).lanes >> lane & 1)

static inline u64 &operand(Group &w, u32 lane, int which) { return w.cells[lane][w.operands[lane][which]]; }

template <u64 F>
void together_bar(Group &) {}

// COUNT results: the value, and whether the lane it was wanted from is in range.
template <u64 F, int COUNT>
void together_shfl(Group &w) {
  u32 given[WARP] = {};
  EACH_LANE(w, lane) given[lane] = (u32)operand(w, lane, 1 + COUNT);
  EACH_LANE(w, lane) {
    const s32 far = operand(w, lane, 2 + COUNT) & 31, c = (s32)operand(w, lane, 3 + COUNT), segment = c >> 8 & 31, clamp = c & 31;
    const s32 most = ((s32)lane & segment) | (clamp & ~segment), least = (s32)lane & segment;
    s32 from = F & F_up ? (s32)lane - far : F & F_down ? (s32)lane + far : F & F_bfly ? (s32)lane ^ far : least | (far & ~segment);
    const bool inside = F & F_up ? from >= most : from <= most;
    if (!inside) from = (s32)lane;
    if (!(w.lanes >> from & 1)) throw Fault{"a shuffle from a lane that does not take part"};
    put(operand(w, lane, 1), given[from]);
    if (COUNT == 2) put(operand(w, lane, 2), inside);
  }
}

template <u64 F>
void together_vote(Group &w) {
  u32 yes = 0;
  EACH_LANE(w, lane) yes |= (u32)(operand(w, lane, 2) & 1) << lane;
  EACH_LANE(w, lane) {
    if (F & F_ballot) put(operand(w, lane, 1), yes);
    else put(operand(w, lane, 1), F & F_all ? yes == w.lanes : F & F_any ? yes != 0 : yes == 0 || yes == w.lanes);
  }
}

template <class T, u64 F, int COUNT>
void together_match(Group &w) {
  T given[WARP] = {};
  EACH_LANE(w, lane) given[lane] = get<T>(operand(w, lane, 1 + COUNT));
  EACH_LANE(w, lane) {
    u32 same = 0;
    EACH_LANE(w, other) same |= (u32)(given[other] == given[lane]) << other;
    const bool all = same == w.lanes;
    put(operand(w, lane, 1), F & F_all ? (all ? same : 0u) : same);
    if (COUNT == 2) put(operand(w, lane, 2), all);
  }
}

template <class T, u64 F>
T joined(T a, T b) {
  if (F & F_add) return op_add<T, 0>(a, b);
  if (F & F_min) return op_min<T, 0>(a, b);
  if (F & F_max) return op_max<T, 0>(a, b);
  return F & F_and ? a & b : F & F_or ? a | b : a ^ b;
}
template <class T, u64 F>
void together_redux(Group &w) {
  T sum = 0;
  bool any = false;
  EACH_LANE(w, lane) {
    const T value = get<T>(operand(w, lane, 2));
    sum = any ? joined<T, F>(sum, value) : value;
    any = true;
  }
  EACH_LANE(w, lane) put(operand(w, lane, 1), sum);
}
