"""Boxes with their labels on images, and sheets of several images."""
