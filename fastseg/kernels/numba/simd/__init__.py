"""What kernels are built on: 64 lanes compared at once, and vectors of numbers as values, in LLVM."""
