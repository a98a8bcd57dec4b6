"""Labelling of frames: common interface, label sources, and initial data."""
