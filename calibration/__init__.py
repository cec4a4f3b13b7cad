"""Calibration: what the data say about a model, measured once and kept.

`calibrate.calibrate` streams batches through the module into `stats.Statistics`; `sense.sense`
measures what each layer loses in each format, a `sensitivity.Sensitivity`.
"""
