"""Measuring what was promised: fidelity, latency, memory and the report."""
