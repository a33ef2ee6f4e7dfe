// NVIDIA's driver as far as `fastseg.kernels.cuda.driver` calls it, on the CPU: memory is the process's, a stream does all at once,
// and a module is the path of a library that was made of a kernel's own text. It finds calls and arguments that the real bindings
// refuse, or hand on wrongly.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int Result;
typedef uint64_t Pointer;
enum { SUCCESS = 0, INVALID = 1, OUT_OF_MEMORY = 2, NOT_INITIALIZED = 3, INVALID_CONTEXT = 201, NOT_FOUND = 500, CAPTURED = 907 };

static int initialised, depth, capturing, relaxed, full, old;
static char context, stream_memory;

static void tell(const char *what) {
  const char *file = getenv("FAKE_DRIVER_LOG");
  if (!file) return;
  FILE *log = fopen(file, "a");
  fprintf(log, "%s\n", what);
  fclose(log);
}

#define WORKS(name) \
  tell(name);       \
  if (!initialised) return NOT_INITIALIZED
#define IN_CONTEXT(name) \
  WORKS(name);           \
  if (!depth) return INVALID_CONTEXT
#define ALLOCATES(name) \
  IN_CONTEXT(name);     \
  if (capturing && !relaxed) return CAPTURED

Result cuInit(unsigned flags) {
  initialised = 1;
  return flags ? INVALID : SUCCESS;
}
Result cuDriverGetVersion(int *version) { return *version = 13000, SUCCESS; }
Result cuDeviceGet(int *device, int index) { return *device = index, index < 2 ? SUCCESS : 101; }
Result cuDevicePrimaryCtxRetain(void **made, int device) { return *made = &context + 0 * device, SUCCESS; }
Result cuCtxPushCurrent(void *which) { return which == &context ? (++depth, SUCCESS) : INVALID_CONTEXT; }
Result cuCtxPopCurrent(void **which) {
  if (!depth) return INVALID_CONTEXT;
  --depth;
  if (which) *which = &context;
  return SUCCESS;
}
Result cuDeviceGetAttribute(int *value, int which, int device) {
  (void)device;
  *value = which == 16 ? 3 : which == 97 ? 227 << 10 : which == 75 ? 9 : 0;  // multiprocessors, shared memory, 9.0
  return SUCCESS;
}
Result cuMemAlloc(Pointer *place, size_t size) {
  ALLOCATES("cuMemAlloc");
  void *memory = size && !full ? malloc(size) : 0;
  if (!memory) return size ? OUT_OF_MEMORY : INVALID;
  memset(memory, 0xa5, size);
  return *place = (Pointer)(uintptr_t)memory, SUCCESS;
}
Result cuMemFree(Pointer place) {
  ALLOCATES("cuMemFree");
  free((void *)(uintptr_t)place);
  return SUCCESS;
}
Result cuMemAllocHost(void **place, size_t size) {
  ALLOCATES("cuMemAllocHost");
  return *place = malloc(size), *place ? SUCCESS : OUT_OF_MEMORY;
}
Result cuMemFreeHost(void *place) {
  ALLOCATES("cuMemFreeHost");
  free(place);
  return SUCCESS;
}
Result cuMemsetD8Async(Pointer place, unsigned char value, size_t size, void *stream) {
  IN_CONTEXT("cuMemsetD8Async");
  (void)stream;
  memset((void *)(uintptr_t)place, value, size);
  return SUCCESS;
}
Result cuMemcpyHtoDAsync(Pointer to, const void *from, size_t size, void *stream) {
  IN_CONTEXT("cuMemcpyHtoDAsync");
  (void)stream;
  memcpy((void *)(uintptr_t)to, from, size);
  return SUCCESS;
}
Result cuMemcpyDtoHAsync(void *to, Pointer from, size_t size, void *stream) {
  IN_CONTEXT("cuMemcpyDtoHAsync");
  (void)stream;
  memcpy(to, (void *)(uintptr_t)from, size);
  return SUCCESS;
}
Result cuPointerGetAttribute(void *data, int which, Pointer place) {
  WORKS("cuPointerGetAttribute");
  (void)place;
  return which == 9 ? (*(int *)data = 1, SUCCESS) : INVALID;
}
Result cuStreamCreate(void **made, unsigned flags) {
  IN_CONTEXT("cuStreamCreate");
  return flags == 1 ? (*made = &stream_memory, SUCCESS) : INVALID;
}
Result cuStreamSynchronize(void *stream) {
  IN_CONTEXT("cuStreamSynchronize");
  return capturing && stream != &stream_memory ? CAPTURED : SUCCESS;
}
Result cuCtxSynchronize(void) {
  IN_CONTEXT("cuCtxSynchronize");
  return SUCCESS;
}
Result cuStreamWaitEvent(void *stream, void *event, unsigned flags) {
  IN_CONTEXT("cuStreamWaitEvent");
  (void)stream;
  return event && !flags ? SUCCESS : INVALID;
}
Result cuStreamIsCapturing(void *stream, int *status) {
  WORKS("cuStreamIsCapturing");
  return *status = stream ? capturing : 0, SUCCESS;
}
Result cuThreadExchangeStreamCaptureMode(int *mode) {
  WORKS("cuThreadExchangeStreamCaptureMode");
  const int before = relaxed ? 2 : 0;
  relaxed = *mode == 2;
  return *mode = before, SUCCESS;
}
Result cuEventCreate(void **made, unsigned flags) {
  IN_CONTEXT("cuEventCreate");
  return flags == 2 ? (*made = malloc(1), SUCCESS) : INVALID;
}
Result cuEventRecord(void *event, void *stream) {
  IN_CONTEXT("cuEventRecord");
  (void)stream;
  return event ? SUCCESS : INVALID;
}
Result cuEventSynchronize(void *event) {
  IN_CONTEXT("cuEventSynchronize");
  return event ? SUCCESS : INVALID;
}
Result cuEventDestroy(void *event) {
  IN_CONTEXT("cuEventDestroy");
  free(event);
  return SUCCESS;
}
Result cuModuleLoadData(void **made, const void *image) {
  ALLOCATES("cuModuleLoadData");
  if (old) return 209;  // no binary for this GPU
  *made = dlopen(image, RTLD_NOW | RTLD_LOCAL);
  return *made ? SUCCESS : 200;
}
Result cuModuleGetFunction(void **made, void *module, const char *name) {
  WORKS("cuModuleGetFunction");
  const char **is = dlsym(module, "name_of_kernel");
  *made = dlsym(module, "run");
  return *made && is && !strcmp(*is, name) ? SUCCESS : NOT_FOUND;
}
Result cuFuncGetAttribute(int *value, int which, void *function) {
  WORKS("cuFuncGetAttribute");
  return which == 1 && function ? (*value = 1040, SUCCESS) : INVALID;
}
Result cuFuncSetAttribute(void *function, int which, int value) {
  WORKS("cuFuncSetAttribute");
  return which == 8 && function && value == (227 << 10) - 1040 ? SUCCESS : INVALID;
}
Result cuLaunchKernel(void *function, unsigned x, unsigned y, unsigned z, unsigned threads, unsigned ty, unsigned tz,
                      unsigned shared, void *stream, void **arguments, void **extra) {
  IN_CONTEXT("cuLaunchKernel");
  (void)stream;
  if (z != 1 || ty != 1 || tz != 1 || extra || !x || !y || y > 65535 || !threads || threads > 1024 || shared > (227 << 10) - 1040)
    return INVALID;
  ((void (*)(const void *, unsigned, unsigned, unsigned, unsigned))function)(arguments[0], x, y, threads, shared);
  return SUCCESS;
}

// What tests do to it.
void fake_capture(int on) { capturing = on; }
void fake_full(int on) { full = on; }
void fake_old(int on) { old = on; }

Result cuGetProcAddress_v2(const char *name, void **place, int version, uint64_t flags, int *status) {
  (void)version;
  (void)flags;
  *place = strcmp(name, "cuGetProcAddress") ? dlsym(RTLD_DEFAULT, name) : (void *)cuGetProcAddress_v2;
  if (!*place) {
    void *self = dlopen(getenv("FAKE_DRIVER"), RTLD_NOW | RTLD_NOLOAD);
    *place = self ? dlsym(self, name) : 0;
  }
  if (status) *status = *place ? 0 : 1;
  return *place ? SUCCESS : NOT_FOUND;
}
Result cuGetProcAddress(const char *name, void **place, int version, uint64_t flags) {
  return cuGetProcAddress_v2(name, place, version, flags, 0);
}
Result cuGetErrorName(Result error, const char **name) { return *name = error ? "an error" : "CUDA_SUCCESS", SUCCESS; }
