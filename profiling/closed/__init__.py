"""FLOPs by formula: Appendix A as printed, and corrected."""
