"""A map to look at: table, plot, page, MATLAB."""
