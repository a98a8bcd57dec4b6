"""DeePMD-kit's files: training input, dataset layout, learning curve and checkpoints; independent of AiiDA."""
