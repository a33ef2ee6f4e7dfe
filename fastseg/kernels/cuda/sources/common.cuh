// What every kernel needs: short names of types, how an array lies, and numbers that have no type of their own in C++.
//
// The same text is compiled for GPUs by NVRTC, and for tests by a compiler for CPUs, before which `cuda_on_cpu.h` stands.
#pragma once

typedef signed char i8;
typedef unsigned char u8;
typedef short i16;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef long long i64;
typedef unsigned long long u64;

#ifndef CUDA_ON_CPU
#define DYNAMIC_SHARED(type, name) extern __shared__ type name[]
#define FORGET_MEMORY() asm volatile("" ::: "memory")  // what was read before may have changed
#endif

constexpr int MOST_AXES = 6;

// An array: where it begins, and how many numbers lie between neighbours along each axis, between samples and between channels.
struct Array {
  const void *data;
  i64 steps[MOST_AXES];
  i64 sample_step, channel_step;
};

// Numbers that are read as their bits.
struct boolean {
  u8 bits;
};
struct half {
  u16 bits;
};
struct bfloat16 {
  u16 bits;
};

__device__ inline float bits_as_float(u32 bits) {
  union {
    u32 bits;
    float value;
  } either;
  either.bits = bits;
  return either.value;
}

__device__ inline u32 float_as_bits(float value) {
  union {
    u32 bits;
    float value;
  } either;
  either.value = value;
  return either.bits;
}

__device__ inline float number(bfloat16 value) { return bits_as_float((u32)value.bits << 16); }

#ifndef CUDA_ON_CPU
__device__ inline float number(half value) {
  float result;
  asm("cvt.f32.f16 %0, %1;" : "=f"(result) : "h"(value.bits));
  return result;
}
#else
__device__ inline float number(half value) {
  const u32 sign = (u32)(value.bits & 0x8000) << 16, exponent = value.bits >> 10 & 31, fraction = value.bits & 1023;
  if (exponent == 31) return bits_as_float(sign | 0x7f800000 | fraction << 13);
  if (exponent) return bits_as_float(sign | (exponent + 112) << 23 | fraction << 13);
  const float tiny = (float)fraction * 5.9604644775390625e-8f;  // 2^-24
  return sign ? -tiny : tiny;
}
#endif

__device__ inline u8 number(boolean value) { return value.bits != 0; }

template <typename T>
__device__ inline T number(T value) {
  return value;
}

// A number as a whole one of 64 bits; `wrong` is set, and it is 0, where it is none.
template <typename T>
__device__ inline i64 whole_number(T value, bool &) {
  return (i64)value;
}
__device__ inline i64 whole_number(u64 value, bool &wrong) {
  wrong = value >> 63;
  return wrong ? 0 : (i64)value;
}
__device__ inline i64 whole_number(double value, bool &wrong) {
  const bool inside = value >= -9223372036854775808.0 && value < 9223372036854775808.0;  // false of NaN
  const i64 whole = inside ? (i64)value : 0;
  wrong = !inside || (double)whole != value;
  return wrong ? 0 : whole;
}
__device__ inline i64 whole_number(float value, bool &wrong) {
  if (!(fabsf(value) < 16777216.0f)) return whole_number((double)value, wrong);
  const i32 whole = (i32)value;  // in short, as labels are
  wrong = (float)whole != value;
  return wrong ? 0 : whole;
}

#ifndef CUDA_ON_CPU
// The larger of two, NaN if one is.
__device__ inline float larger(float a, float b) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}
// Two to a power, with an error of at most 2^-22 of it; 0 below 2^-126.
__device__ inline float two_to(float power) {
  float result;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(power));
  return result;
}
// One over it, to the last bit but one, of a number that is neither tiny nor huge.
__device__ inline float reciprocal(float value) {
  float result;
  asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(result) : "f"(value));
  return result;
}
#endif

// The lowest byte of a number as one of a type of one byte.
template <typename T>
__device__ inline T from_byte(u32 bits) {
  T value;
  *(u8 *)&value = (u8)bits;
  return value;
}

// Several numbers that lie side by side and are read at once.
template <typename T, int COUNT>
struct alignas(sizeof(T) * COUNT) Pack {
  T values[COUNT];
};
