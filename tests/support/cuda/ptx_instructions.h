// What the instructions of PTX do, by its manual: a function a name, of a type and of flags, which are the words between the two.
// Approximations are rounded rightly; numbers that are no numbers are the one that a card writes.
#pragma once
#include "ptx_machine.h"
#include <cfenv>
#include <type_traits>

enum Flags : u64 {
  F_rn = 1, F_rz = 2, F_rm = 4, F_rp = 8, F_rni = 16, F_rzi = 32, F_rmi = 64, F_rpi = 128, F_ftz = 256, F_sat = 512, F_NaN = 1024,
  F_hi = 2048, F_lo = 4096, F_wide = 8192, F_approx = 1 << 14, F_full = 1 << 15, F_shiftamt = 1 << 16, F_l = 1 << 17, F_r = 1 << 18,
  F_wrap = 1 << 19, F_clamp = 1 << 20, F_f4e = 1 << 21, F_b4e = 1 << 22, F_rc8 = 1 << 23, F_ecl = 1 << 24, F_ecr = 1 << 25,
  F_rc16 = 1 << 26, F_add = 1 << 27, F_min = 1 << 28, F_max = 1 << 29, F_and = 1 << 30, F_or = 1ull << 31, F_xor = 1ull << 32,
  F_exch = 1ull << 33, F_cas = 1ull << 34, F_inc = 1ull << 35, F_dec = 1ull << 36, F_idx = 1ull << 37, F_bfly = 1ull << 38,
  F_up = 1ull << 39, F_down = 1ull << 40, F_any = 1ull << 41, F_all = 1ull << 42, F_ballot = 1ull << 43, F_uni = 1ull << 44,
  F_popc = 1ull << 45,
};
// Those from C_equ on are true of numbers that are no numbers, but for C_num.
enum Compare {
  C_eq, C_ne, C_lt, C_le, C_gt, C_ge, C_lo = C_lt, C_ls = C_le, C_hi = C_gt, C_hs = C_ge,
  C_equ = 8, C_neu, C_ltu, C_leu, C_gtu, C_geu, C_num, C_nan
};

template <class T>
constexpr bool is_real = T(0.5) != T(0) && !std::is_same_v<T, bool>;
template <class T>
constexpr u32 BITS = 8 * sizeof(T);
template <class T>
using Unsigned = std::make_unsigned_t<T>;
template <class To, class From>
static inline To bits_as(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  memcpy(&to, &from, sizeof to);
  return to;
}

static inline f32 flushed(f32 v) { return v > -0x1p-126f && v < 0x1p-126f ? __builtin_copysignf(0, v) : v; }
// An operand, and a result, as the flags have them.
template <class T, u64 F>
static inline T take(u64 cell) {
  if constexpr ((F & F_ftz) && std::is_same_v<T, f32>)
    return flushed(get<f32>(cell));
  else
    return get<T>(cell);
}
template <class T, u64 F>
static inline void give(u64 &cell, T value) {
  if constexpr (is_real<T>) {
    if ((F & F_sat)) value = value > T(0) ? value < T(1) ? value : T(1) : T(0);
    if constexpr (std::is_same_v<T, f32>) {
      if (F & F_ftz) value = flushed(value);
      if (value != value) value = bits_as<f32>(0x7fffffffu);
    }
    if constexpr (std::is_same_v<T, f16>)
      if (value != value) value = bits_as<f16>((u16)0x7fff);
  }
  put(cell, value);
}

// Compute in the direction that the flags say. Operands are volatile so that nothing is computed before.
template <u64 F, class Compute>
static inline auto directed(Compute compute) {
  if constexpr (!(F & (F_rz | F_rm | F_rp))) return compute();
  fesetround(F & F_rz ? FE_TOWARDZERO : F & F_rm ? FE_DOWNWARD : FE_UPWARD);
  volatile auto result = compute();
  fesetround(FE_TONEAREST);
  return decltype(compute())(result);
}
#define DIRECTED(T, ...) directed<F>([&]() -> T { __VA_ARGS__ })
#define HELD(name) volatile auto held_##name = name

template <class T>
constexpr T LEAST = std::is_signed_v<T> ? T(Unsigned<T>(1) << (BITS<T> - 1)) : T(0);

template <class D, class S, u64 F>
D op_cvt(S a) {
  if constexpr (is_real<S>) {
    if constexpr (!(F & (F_rni | F_rzi | F_rmi | F_rpi))) return DIRECTED(D, HELD(a); return (D)held_a;);
    const f64 v = a, whole = F & F_rni ? __builtin_nearbyint(v) : F & F_rzi ? __builtin_trunc(v)
      : F & F_rmi ? __builtin_floor(v) : __builtin_ceil(v);
    if constexpr (is_real<D>) return (D)whole;
    else {
      if (a != a) return sizeof(S) == 8 || sizeof(D) == 8 ? D(Unsigned<D>(1) << (BITS<D> - 1)) : D(0);
      constexpr D most = D(~LEAST<D>);
      return whole <= (f64)LEAST<D> ? LEAST<D> : whole >= (f64)most ? most : (D)whole;
    }
  } else if constexpr (is_real<D>) {
    return DIRECTED(D, HELD(a); return (D)held_a;);
  } else if constexpr (F & F_sat) {
    return (__int128)a < LEAST<D> ? LEAST<D> : (__int128)a > D(~LEAST<D>) ? D(~LEAST<D>) : (D)a;
  } else
    return (D)a;
}

template <class T, u64 F>
T op_add(T a, T b) {
  if constexpr (is_real<T>) return DIRECTED(T, HELD(a); HELD(b); return held_a + held_b;);
  else if constexpr (F & F_sat) return op_cvt<T, s64, F_sat>((s64)a + (s64)b);
  else return T(Unsigned<T>(a) + Unsigned<T>(b));
}
template <class T, u64 F>
T op_sub(T a, T b) {
  if constexpr (is_real<T>) return DIRECTED(T, HELD(a); HELD(b); return held_a - held_b;);
  else return T(Unsigned<T>(a) - Unsigned<T>(b));
}
// A product of whole numbers, of twice the bits.
template <class T>
using Twice = std::conditional_t<sizeof(T) == 2, std::conditional_t<std::is_signed_v<T>, s32, u32>,
  std::conditional_t<sizeof(T) == 4, std::conditional_t<std::is_signed_v<T>, s64, u64>,
    std::conditional_t<std::is_signed_v<T>, __int128, unsigned __int128>>>;
template <class T, u64 F>
auto op_mul(T a, T b) {
  if constexpr (is_real<T>) return DIRECTED(T, HELD(a); HELD(b); return held_a * held_b;);
  else if constexpr (F & F_wide) return Twice<T>(Twice<T>(a) * Twice<T>(b));
  else if constexpr (F & F_hi) return T(Twice<T>(a) * Twice<T>(b) >> BITS<T>);
  else return T(Twice<T>(a) * Twice<T>(b));
}
static inline f32 fused(f32 a, f32 b, f32 c) { return __builtin_fmaf(a, b, c); }
static inline f64 fused(f64 a, f64 b, f64 c) { return __builtin_fma(a, b, c); }
static inline f32 root(f32 a) { return __builtin_sqrtf(a); }
static inline f64 root(f64 a) { return __builtin_sqrt(a); }
template <class T, u64 F>
T op_fma(T a, T b, T c) { return DIRECTED(T, HELD(a); HELD(b); HELD(c); return fused(held_a, held_b, held_c);); }
template <class T, u64 F, class C>
auto op_mad(T a, T b, C c) {
  if constexpr (is_real<T>) return op_fma<T, F>(a, b, c);
  else return C(Unsigned<C>(op_mul<T, F>(a, b)) + Unsigned<C>(c));
}
template <class T, u64 F>
T op_div(T a, T b) {
  if constexpr (is_real<T>) return DIRECTED(T, HELD(a); HELD(b); return held_a / held_b;);
  else {
    if (b == 0) throw Fault{"a division by zero"};
    return std::is_signed_v<T> && b == T(-1) ? T(-Unsigned<T>(a)) : T(a / b);
  }
}
template <class T, u64 F>
T op_rem(T a, T b) { return T(Unsigned<T>(a) - Unsigned<T>(op_div<T, F>(a, b)) * Unsigned<T>(b)); }
template <class T, u64 F>
T op_neg(T a) { if constexpr (is_real<T>) return -a; else return T(-Unsigned<T>(a)); }
template <class T, u64 F>
T op_abs(T a) { if constexpr (is_real<T>) return __builtin_fabs(a); else return a < 0 ? T(-Unsigned<T>(a)) : a; }
template <class T, u64 F>
T op_copysign(T a, T b) { return __builtin_copysign(b, a); }
template <class T, u64 F, bool LESS>
T chosen(T a, T b) {
  if constexpr (is_real<T>) {
    if (a != a || b != b) return (F & F_NaN) || a == b || (a != a && b != b) ? T(__builtin_nan("")) : a != a ? b : a;
    if (a == b) return __builtin_signbit(a) == LESS ? a : b;
  }
  return (LESS ? a < b : a > b) ? a : b;
}
template <class T, u64 F>
T op_min(T a, T b) { return chosen<T, F, true>(a, b); }
template <class T, u64 F>
T op_max(T a, T b) { return chosen<T, F, false>(a, b); }

template <class T, u64 F>
T op_rcp(T a) { return op_div<T, F>(T(1), a); }
template <class T, u64 F>
T op_sqrt(T a) { return DIRECTED(T, HELD(a); return root(held_a);); }
template <class T, u64 F>
T op_rsqrt(T a) { return T(1 / root((f64)a)); }
template <class T, u64 F>
T op_ex2(T a) { return T(__builtin_exp2((f64)a)); }
template <class T, u64 F>
T op_lg2(T a) { return T(__builtin_log2((f64)a)); }
template <class T, u64 F>
T op_sin(T a) { return T(__builtin_sin((f64)a)); }
template <class T, u64 F>
T op_cos(T a) { return T(__builtin_cos((f64)a)); }
template <class T, u64 F>
T op_tanh(T a) { return T(__builtin_tanh((f64)a)); }

template <class T, u64 F>
T op_and(T a, T b) { return T(a & b); }
template <class T, u64 F>
T op_or(T a, T b) { return T(a | b); }
template <class T, u64 F>
T op_xor(T a, T b) { return T(a ^ b); }
template <class T, u64 F>
T op_not(T a) { if constexpr (std::is_same_v<T, bool>) return !a; else return T(~a); }
template <class T, u64 F>
T op_cnot(T a) { return a == 0; }
template <class T, u64 F>
T op_mov(T a) { return a; }
template <class T, u64 F>
T op_selp(T a, T b, bool p) { return p ? a : b; }
template <class T, u64 F>
T op_shl(T a, u32 n) { return n >= BITS<T> ? T(0) : T(a << n); }
template <class T, u64 F>
T op_shr(T a, u32 n) { return T(a >> (n < BITS<T> ? n : BITS<T> - 1) >> (n >= BITS<T>)); }
template <class T, u64 F>
u32 op_shf(u32 a, u32 b, u32 n) {
  n = F & F_wrap ? n & 31 : n < 32 ? n : 32;
  const u64 both = (u64)b << 32 | a;
  return (u32)(F & F_l ? both << n >> 32 : both >> n);
}
template <class T, u64 F>
u32 op_popc(T a) { return (u32)__builtin_popcountll(a); }
template <class T, u64 F>
u32 op_clz(T a) { return a ? (u32)__builtin_clzll(a) - (64 - BITS<T>) : BITS<T>; }
template <class T, u64 F>
T op_brev(T a) {
  T b = 0;
  for (u32 k = 0; k < BITS<T>; ++k) b |= T(a >> k & 1) << (BITS<T> - 1 - k);
  return b;
}
template <class T, u64 F>
u32 op_bfind(T a) {
  const Unsigned<T> v = std::is_signed_v<T> && a < 0 ? ~a : a;
  if (!v) return ~0u;
  const u32 place = 63 - (u32)__builtin_clzll(v);
  return F & F_shiftamt ? BITS<T> - 1 - place : place;
}
template <class T, u64 F>
T op_bfe(T a, u32 place, u32 length) {
  place &= 255, length &= 255;
  const u32 last = place + length - 1 < BITS<T> ? place + length - 1 : BITS<T> - 1;
  const bool sign = std::is_signed_v<T> && length && a >> last & 1;
  Unsigned<T> d = 0;
  for (u32 k = 0; k < BITS<T>; ++k) d |= Unsigned<T>(k < length && place + k < BITS<T> ? a >> (place + k) & 1 : sign) << k;
  return T(d);
}
template <class T, u64 F>
T op_bfi(T a, T b, u32 place, u32 length) {
  place &= 255, length &= 255;
  for (u32 k = 0; k < length && place + k < BITS<T>; ++k) b = T((b & ~(T(1) << (place + k))) | T(a >> k & 1) << (place + k));
  return b;
}
template <class T, u64 F>
u32 op_lop3(u32 a, u32 b, u32 c, u32 table) {
  u32 d = 0;
  for (u32 k = 0; k < 32; ++k) d |= (table >> ((a >> k & 1) * 4 + (b >> k & 1) * 2 + (c >> k & 1)) & 1) << k;
  return d;
}
template <class T, u64 F>
u32 op_prmt(u32 a, u32 b, u32 choice) {
  const u64 all = (u64)b << 32 | a;
  const u32 s = choice & 3;
  u32 d = 0;
  for (u32 k = 0; k < 4; ++k) {
    u32 from = choice >> 4 * k & 15;
    if (F & F_f4e) from = s + k;
    if (F & F_b4e) from = (s - k) & 7;
    if (F & F_rc8) from = s;
    if (F & F_ecl) from = k < s ? s : k;
    if (F & F_ecr) from = k > s ? s : k;
    if (F & F_rc16) from = (s & 1) * 2 + (k & 1);
    u32 byte = (u32)(all >> 8 * (from & 7)) & 255;
    if (from & 8) byte = byte >> 7 ? 255 : 0;  // its sign
    d |= byte << 8 * k;
  }
  return d;
}
// The lowest bits of a word, with their sign where T has one.
template <class T, int COUNT>
u32 extended(u32 bits) {
  const u32 left = bits << (32 - COUNT);
  return std::is_signed_v<T> ? (u32)((s32)left >> (32 - COUNT)) : left >> (32 - COUNT);
}
// Products of the bytes of two words (and of the halves of one with bytes of the other), and a sum.
template <class A, class B>
u32 op_dp4a(u32 a, u32 b, u32 c) {
  for (u32 k = 0; k < 4; ++k) c += extended<A, 8>(a >> 8 * k) * extended<B, 8>(b >> 8 * k);
  return c;
}
template <class A, class B, bool HIGH>
u32 op_dp2a(u32 a, u32 b, u32 c) {
  for (u32 k = 0; k < 2; ++k) c += extended<A, 16>(a >> 16 * k) * extended<B, 8>(b >> 8 * (k + 2 * HIGH));
  return c;
}

template <class T, Compare C>
bool compared(T a, T b) {
  const bool none = a != a || b != b;
  if (C == C_num || C == C_nan) return none == (C == C_nan);
  if (none) return C >= C_equ;
  constexpr int c = C & 7;
  return c == C_eq ? a == b : c == C_ne ? a != b : c == C_lt ? a < b : c == C_le ? a <= b : c == C_gt ? a > b : a >= b;
}

// An address that any space is meant by, and back.
static inline u64 to_generic(Machine &m, Space space, u64 a) { return space == SHARED ? (u64)m.shared + (u32)a - SHARED_BEGIN : a; }
static inline u64 from_generic(Machine &m, Space space, u64 a) { return space == SHARED ? a - (u64)m.shared + SHARED_BEGIN : a; }

template <Space SPACE, class T, int COUNT>
void load(Machine &m, u64 *cells, const s32 *o) {
  const char *const place = m.at(SPACE, get<u64>(cells[o[COUNT]]) + cells[o[COUNT + 1]], sizeof(T) * COUNT, READ);
  T values[COUNT];
  memcpy(values, place, sizeof values);
  for (int k = 0; k < COUNT; ++k) put(cells[o[k]], values[k]);
}
template <Space SPACE, class T, int COUNT>
void store(Machine &m, u64 *cells, const s32 *o) {
  char *const place = m.at(SPACE, get<u64>(cells[o[0]]) + cells[o[1]], sizeof(T) * COUNT, WRITE);
  T values[COUNT];
  for (int k = 0; k < COUNT; ++k) values[k] = get<T>(cells[o[2 + k]]);
  memcpy(place, values, sizeof values);
}
template <Space SPACE, class T, u64 F, bool RETURNS>
void atomic(Machine &m, u64 *cells, const s32 *o) {
  char *const place = m.at(SPACE, get<u64>(cells[o[RETURNS]]) + cells[o[RETURNS + 1]], sizeof(T), ATOMIC);
  T before, after;
  memcpy(&before, place, sizeof before);
  const T value = get<T>(cells[o[RETURNS + 2]]);
  if constexpr (F & F_add) after = op_add<T, 0>(before, value);
  else if constexpr (F & F_min) after = op_min<T, 0>(before, value);
  else if constexpr (F & F_max) after = op_max<T, 0>(before, value);
  else if constexpr (F & F_and) after = before & value;
  else if constexpr (F & F_or) after = before | value;
  else if constexpr (F & F_xor) after = before ^ value;
  else if constexpr (F & F_exch) after = value;
  else if constexpr (F & F_inc) after = before >= value ? 0 : before + 1;
  else if constexpr (F & F_dec) after = before == 0 || before > value ? value : before - 1;
  else if constexpr (F & F_cas) after = before == value ? get<T>(cells[o[RETURNS + 3]]) : before;
  memcpy(place, &after, sizeof after);
  if (RETURNS) put(cells[o[0]], before);
}
