"""Screening of structures by the landscapes of their mobile ions."""
