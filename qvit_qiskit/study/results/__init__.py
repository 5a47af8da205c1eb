"""What a study found: frames, figures and the report."""
