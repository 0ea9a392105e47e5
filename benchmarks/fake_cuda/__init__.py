"""Lehr's own training step on fake tensors of device `cuda`: what it launches and moves, without a GPU.

Shapes, strides, types and devices are followed (`torch._subclasses.fake_tensor`), nothing is computed. What is found so
are tensors of different devices that meet, waits of the host for the device, launches, bytes and memory. Not found are
wrong numbers, errors within kernels, a wrong order of streams, and what collectives do.
"""
