"""The IBM client driven: account, calls with deadlines, senders of jobs."""
