"""Kernels for CUDA, written in Triton, each the twin of a chain of torch operations that stands elsewhere.

A kernel reads and writes memory once where the chain does so for every operation, and is one launch. The chain stays
the definition: it is what runs on a CPU, under `torch.compile`, where Triton is missing, and what tests compare with.
"""
