"""Energy landscape of a crystal: the scan of its mobile ions, how they percolate, and the range of the forces."""
