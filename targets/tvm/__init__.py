"""The TVM back end: Relax, compiled by LLVM for x86-64 and arm64, and for CUDA."""
