"""Solvers: a float weight and the statistics of its input become codes on a grid."""
