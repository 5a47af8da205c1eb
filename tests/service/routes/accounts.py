"""IAM, global search, the catalog, and what an instance has used."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from .. import billing
from ..wire import ApiError, Request, Response

if TYPE_CHECKING:
    from ..app import App


def token(app: App, request: Request) -> Response:
    """POST /identity/token: a bearer token for an API key, in IAM's own shapes."""
    form = parse_qs(request.body.decode())
    try:
        return Response.of(app.accounts.token(form.get("apikey", [""])[0]))
    except ApiError as error:
        context = {"requestId": "loopback", "url": "/identity/token"}
        body = {"errorCode": error.code, "errorMessage": str(error), "context": context}
        return Response.of(body, error.status)


def search(app: App, request: Request) -> Response:
    """POST /v3/resources/search: the account's instances."""
    items = [instance.found() for instance in app.accounts.instances]
    return Response.of({"items": items, "limit": 100})


def entry(app: App, request: Request, plan: str) -> Response:
    """GET /catalog/{plan}: a plan's title and pricing."""
    for instance in app.accounts.instances:
        if instance.plan_id == plan:
            return Response.of(instance.entry())
    raise ApiError(404, "not_found", f"No catalog entry {plan}.")


def usage(app: App, request: Request) -> Response:
    """GET /instances/usage."""
    instance = app.accounts.check(request)
    used = billing.used(app, instance.crn)
    answer = {
        "instance_id": instance.crn,
        "plan_id": instance.plan_id,
        "usage_consumed_seconds": used,
    }
    limit = billing.limit(app.settings, instance.plan)
    if limit is not None:
        answer |= {
            "usage_limit_seconds": limit,
            "usage_allocation_seconds": limit,
            "usage_limit_reached": used >= limit,
        }
    return Response.of(answer | {"usage_period": {"length_days": 28}})


ROUTES = [
    ("POST", r"/identity/token", token),
    ("POST", r"/v3/resources/search", search),
    ("GET", r"(?:/catalog)?/(plan-[a-z-]+)", entry),
    ("GET", r"/instances/usage", usage),
]
