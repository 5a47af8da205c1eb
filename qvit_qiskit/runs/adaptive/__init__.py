"""Runs that spend shots where answers need them."""
