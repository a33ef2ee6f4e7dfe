// The code of a label: its place among those that are told apart, `job.labels`, which are sorted. Labels 0..job.first-1 are their own
// codes, and job.others is that of everything else.
#pragma once
#include "common.cuh"

// The code of a label that is not among the first: seldom asked for, so it stands in the code once. By values, as a structure that is
// passed by its address would be copied to memory for all else, too.
__device__ __noinline__ i32 search(const i64 *labels, i32 first, i32 others, i64 value) {
  i32 low = first, high = others;
  while (low < high) {
    const i32 middle = (low + high) >> 1;
    if (labels[middle] < value)
      low = middle + 1;
    else
      high = middle;
  }
  return low < others && labels[low] == value ? low : others;
}

// The code of a whole number: its place among the labels.
template <typename Job>
__device__ inline i32 code_of_integer(const Job &job, i64 value) {
  return (u64)value < (u64)job.first ? (i32)value : search(job.labels, job.first, job.others, value);
}

template <typename Job, typename T>
__device__ inline i32 code_of_number(const Job &job, T value, u32 &bad) {
  bool wrong = false;
  const i64 whole = whole_number(value, wrong);
  bad += wrong;
  return wrong ? job.others : code_of_integer(job, whole);
}
