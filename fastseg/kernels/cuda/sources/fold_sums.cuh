// Adds up what the parts of each sample have come to, in an order that depends on their number alone.
#include "common.cuh"

struct Job {
  const double *partial;  // (samples, parts, columns)
  double *sums;           // (samples, columns)
  i64 samples, parts, columns;
};

constexpr int COLUMNS = 8, RUNS = THREADS / COLUMNS;  // parts k, k + RUNS, ... of a column are one thread's

extern "C" __global__ void __launch_bounds__(THREADS, BLOCKS) fold_sums(const Job job) {
  __shared__ double runs[RUNS][COLUMNS];
  const i32 run = threadIdx.x / COLUMNS, place = threadIdx.x % COLUMNS;
  const i64 column = (i64)blockIdx.x * COLUMNS + place;

  for (i64 sample = blockIdx.y; sample < job.samples; sample += gridDim.y) {
    double sum = 0;
    if (column < job.columns)
#pragma unroll 8
      for (i64 part = run; part < job.parts; part += RUNS) sum += job.partial[(sample * job.parts + part) * job.columns + column];
    runs[run][place] = sum;
    __syncthreads();
    for (int half = RUNS / 2; half; half /= 2) {
      if (run < half) runs[run][place] += runs[run + half][place];
      __syncthreads();
    }
    if (run == 0 && column < job.columns) job.sums[sample * job.columns + column] = runs[0][place];
    __syncthreads();
  }
}
