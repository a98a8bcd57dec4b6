"""DeePMD-kit's files: training input, dataset layout, learning curve, checkpoints; knows nothing of AiiDA."""
