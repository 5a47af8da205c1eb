"""What was measured: counts, the values that they give, and their covariances."""
