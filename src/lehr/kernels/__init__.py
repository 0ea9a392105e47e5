"""Kernels for CUDA, written in Triton, each equivalent to a chain of torch operations elsewhere.

A kernel reads and writes memory once where the chain does so for every operation, and is one launch. The chain is the
definition: it runs on a CPU, under `torch.compile` and without Triton, and tests compare with it.
"""
