// A machine that PTX runs on, a thread at a time and an instruction at a time: what instructions see of it.
//
// A register is a cell of 64 bits, and so is every constant, address of a variable and special register: all operands are numbers
// of cells. The shared memory of a block has addresses of its own, from SHARED_BEGIN on; all other memory is the process's.
#pragma once
#include <cstring>
#include <initializer_list>

typedef unsigned char u8;
typedef signed char s8;
typedef unsigned short u16;
typedef short s16;
typedef unsigned int u32;
typedef int s32;
typedef unsigned long long u64;
typedef long long s64;
typedef float f32;
typedef double f64;
typedef _Float16 f16;

// What a card would not do either, or do wrong.
struct Fault {
  const char *said;
};

constexpr u32 SHARED_BEGIN = 1024, WARP = 32, MOST_THREADS = 1024;
enum Space { GENERIC, GLOBAL, SHARED, LOCAL, PARAM, CONST };
enum Access { READ, WRITE, ATOMIC };

// Who last touched a byte of shared memory in some way: a thread, or one of these; and what its warp had done together before.
constexpr s32 NOBODY = -1, MANY = -2, LANES_OF = -3;  // LANES_OF - w: several lanes of the warp w
struct Who {
  s32 thread = NOBODY;
  u32 turn = 0;
};
// All of them since a barrier of the block: `round` counts the barriers.
struct Touched {
  u32 round = 0, block = 0;  // `block` counts blocks: that in which something was last put there
  Who by[3];  // an access each
};

// Memory that a kernel may look at.
struct Range {
  u64 begin, end;
};

struct Machine {
  u32 next;    // the instruction that comes next
  u32 thread;  // which is running
  u32 round;   // barriers so far, of all blocks
  u32 block;   // blocks so far
  u32 turn[MOST_THREADS];  // what its warp has done together so far, of each thread
  char *shared, *local, *param;
  u32 shared_bytes, local_bytes, param_bytes;
  Touched *touched;
  const Range *known;  // all other memory; where there is none given, any
  u32 known_count;

  // Where an address is, once it is known that so many bytes may be read or written there at once.
  char *at(Space space, u64 address, u32 bytes, Access access) {
    if (space == SHARED) address = (u32)address;
    if (address % bytes) throw Fault{"a misaligned address"};
    if (space == SHARED) {
      if (address < SHARED_BEGIN || address + bytes > SHARED_BEGIN + shared_bytes)
        throw Fault{"an address beyond the shared memory of the block"};
      touch((u32)address - SHARED_BEGIN, bytes, access);
      return shared + (address - SHARED_BEGIN);
    }
    char *const place = (char *)address;
    if (inside(place, shared, shared_bytes)) {
      if (space != GENERIC) throw Fault{"an address of shared memory that is taken for another"};
      touch((u32)(place - shared), bytes, access);
      return place;
    }
    const bool own = inside(place, local, local_bytes), given = inside(place, param, param_bytes);
    if (space == LOCAL && !own) throw Fault{"an address beyond the memory of the thread"};
    if (space == PARAM && !own && !given) throw Fault{"an address beyond the parameters"};
    if (space == GLOBAL && (own || given)) throw Fault{"an address of the thread that is taken for a global one"};
    if (given && access != READ) throw Fault{"a parameter is written to"};
    if (!own && !given && !is_known(address, bytes)) throw Fault{"an address where nothing is"};
    return place;
  }

  bool is_known(u64 address, u32 bytes) const {
    for (u32 k = 0; k < known_count; ++k)
      if (address >= known[k].begin && address + bytes <= known[k].end) return true;
    return !known_count && address >= 4096;
  }

  static bool inside(const char *place, const char *begin, u32 bytes) { return place >= begin && place < begin + bytes; }

  // Two threads at one place between two barriers, one of which writes: whoever comes first decides.
  void touch(u32 offset, u32 bytes, Access access) {
    for (u32 k = offset; k < offset + bytes; ++k) {
      Touched &seen = touched[k];
      if (access == WRITE)
        seen.block = block;
      else if (seen.block != block)
        throw Fault{"shared memory in which nothing was put"};
      if (seen.round != round) {
        for (Who &who : seen.by) who = Who();
        seen.round = round;
      }
      for (Access before : {READ, WRITE, ATOMIC})
        if ((before == WRITE || access != before) && meets(seen.by[before]))
          throw Fault{"a race: two threads at one place of shared memory, and no barrier between"};
      s32 &who = seen.by[access].thread;
      const bool alone = who == NOBODY || who == (s32)thread || access == WRITE;
      who = alone ? (s32)thread : who != MANY && warp_of(who) == warp() ? LANES_OF - warp() : MANY;
      seen.by[access].turn = turn[thread];
    }
  }

  s32 warp() const { return (s32)(thread / WARP); }
  static s32 warp_of(s32 who) { return who >= 0 ? who / (s32)WARP : LANES_OF - who; }

  // Whether that is somebody whom the running thread has not waited for: lanes of a warp wait for each other, too.
  bool meets(const Who &who) const {
    if (who.thread == NOBODY || who.thread == (s32)thread) return false;
    return who.thread == MANY || warp_of(who.thread) != warp() || who.turn == turn[thread];
  }
};

// The lanes of a warp that do something together: their cells, and which of these are the operands.
struct Group {
  u64 *cells[WARP];
  const s32 *operands[WARP];
  u32 lanes;
};

typedef void Plain(Machine &, u64 *cells, const s32 *operands);
typedef void Together(Group &);

// The number of some type in a cell, and a number put there: signed ones with their sign.
template <class T>
static inline T get(u64 cell) {
  T value;
  memcpy(&value, &cell, sizeof value);
  return value;
}
template <>
inline bool get<bool>(u64 cell) {
  return cell & 1;
}
template <class T>
static inline void put(u64 &cell, T value) {
  if constexpr (T(0.5) != T(0)) {
    cell = 0;
    memcpy(&cell, &value, sizeof value);
  } else
    cell = (u64)(s64)value;
}
