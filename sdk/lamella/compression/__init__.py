"""Carries a plan out: rewrites, mask rules and solvers, and the simulation of what they made."""
