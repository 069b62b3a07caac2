"""A small real service to release, roll back, break and measure."""
