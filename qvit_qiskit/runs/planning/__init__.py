"""The cheapest plan for a stated accuracy: what candidates cost, and what they would lose."""
