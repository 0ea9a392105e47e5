"""Lehr's own training step on fake tensors of device `cuda`: what it launches and moves, without a GPU.

Shapes, strides, types and devices are tracked (`torch._subclasses.fake_tensor`), nothing is computed. This finds
tensors of different devices that meet, waits of the host for the device, launches, bytes and memory. It does not find
wrong numbers, errors within kernels, a wrong order of streams, or what collectives do.
"""
