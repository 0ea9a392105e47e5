"""A family, an augmentation and a logger for Lehr."""
