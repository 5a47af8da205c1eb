"""The libraries compared with, one module each; they run in the peers' environment."""
