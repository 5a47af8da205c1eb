"""What a comparison finds: pure functions of its evidence, each called once by `builder`."""
