"""Instances, API keys and the tokens that stand for them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from dataclasses import dataclass
from typing import Any

from .settings import PLANS, Settings
from .wire import ApiError, Request

SECRET = b"loopback: proves nothing to anyone else"
"""Tokens are signed with it, so that they outlive a restart."""


@dataclass(frozen=True)
class Instance:
    """A service instance of one plan."""

    plan: str

    @property
    def name(self) -> str:
        """E.g. ``"loopback-open"``."""
        return f"loopback-{self.plan}"

    @property
    def crn(self) -> str:
        """Its cloud resource name."""
        digest = hashlib.sha256(self.plan.encode()).hexdigest()
        return f"crn:v1:bluemix:public:quantum-computing:us-east:a/{digest[:32]}:{digest[32:]}::"

    @property
    def plan_id(self) -> str:
        """The plan's entry in the catalog."""
        return f"plan-{self.plan}"

    def found(self) -> dict[str, Any]:
        """The instance as global search tells of it."""
        return {
            "crn": self.crn,
            "name": self.name,
            "service_plan_unique_id": self.plan_id,
            "tags": [],
            "doc": {"extensions": [{"key": "backends"}]},
        }

    def entry(self) -> dict[str, Any]:
        """The plan as the catalog tells of it."""
        title = "-".join(word.capitalize() for word in self.plan.split("-"))
        return {
            "id": self.plan_id,
            "overview_ui": {"en": {"display_name": title}},
            "metadata": {"pricing": {"type": PLANS[self.plan]}},
        }


class Accounts:
    """One account: its API key, its instances, and which tokens are still good."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.instances = [Instance(plan) for plan in settings.plans]
        self.not_before = 0.0
        """Tokens issued earlier are refused."""

    def expire(self) -> None:
        """Refuse every token issued so far."""
        self.not_before = time.time()

    def token(self, key: str) -> dict[str, Any]:
        """IAM's answer to an API key.

        Raises:
            ApiError: If the key is unknown; its shape is replaced by IAM's.
        """
        if key != self.settings.token:
            raise ApiError(400, "BXNIM0415E", "Provided API key could not be found.")
        now = time.time()
        expires = int(now + self.settings.token_ttl)
        claims = {"iam_id": "IBMid-loopback", "iat": int(now), "exp": expires, "issued": now}
        parts = [_encode({"alg": "HS256", "typ": "JWT"}), _encode(claims)]
        token = ".".join([*parts, _sign(".".join(parts))])
        return {
            "access_token": token,
            "refresh_token": "not_supported",
            "token_type": "Bearer",
            "expires_in": int(self.settings.token_ttl),
            "expiration": expires,
            "scope": "ibm openid",
        }

    def check(self, request: Request) -> Instance:
        """The instance that a request speaks for.

        Raises:
            ApiError: 401 without a good token, 403 for a foreign instance.
        """
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind != "Bearer" or not self._good(token):
            raise ApiError(401, 1201, "Invalid credentials.", "Check the credentials.")
        crn = request.headers.get("service-crn", "")
        for instance in self.instances:
            if instance.crn == crn:
                return instance
        raise ApiError(403, 1200, "You are not authorized to perform this action.")

    def _good(self, token: str) -> bool:
        head, _, signature = token.rpartition(".")
        if not head or not hmac.compare_digest(_sign(head), signature):
            return False
        claims = json.loads(base64.urlsafe_b64decode(head.split(".")[1] + "=="))
        return claims["exp"] > time.time() and claims["issued"] >= self.not_before


def _encode(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def _sign(text: str) -> str:
    digest = hmac.new(SECRET, text.encode(), hashlib.sha256).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
