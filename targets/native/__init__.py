"""The native target: a flat program of kernel calls with planned memory, for the C++ engine."""
