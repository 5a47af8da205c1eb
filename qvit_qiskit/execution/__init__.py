"""Where circuits run: profiles, routes, estimators and gradients."""
