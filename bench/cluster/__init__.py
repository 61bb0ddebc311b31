"""A real API server for the operator's benchmarks: who asked it what and when, and the objects of a pipeline."""
