"""Routes by resource: method, pattern of the path, handler."""

from . import accounts, backends, control, jobs, sessions

ROUTES = [
    *control.ROUTES,
    *accounts.ROUTES,
    *backends.ROUTES,
    *sessions.ROUTES,
    *jobs.ROUTES,
]
