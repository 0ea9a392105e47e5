"""Exports of detectors, each computed by its own runtime, behind the protocol of networks."""
