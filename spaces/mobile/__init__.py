"""Spaces of mobile networks, and the blocks that they share."""
