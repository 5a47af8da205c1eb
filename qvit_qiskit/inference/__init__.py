"""A model over images: its logits, and passes with given answers of its quantum layers."""
