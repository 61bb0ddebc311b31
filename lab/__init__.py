"""A real Kubernetes cluster on this machine, built from packages: `python -m lab up`."""
