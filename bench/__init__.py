"""Benchmarks: what the project does, beside a peer that does the same, in the same run.

One module a benchmark. Every figure is the median of several rounds in which the contenders take turns, so that a busy machine
slows all of them alike; ratios travel between machines, absolute figures do not.
"""
