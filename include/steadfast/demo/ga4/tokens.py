"""The token endpoint for service accounts: takes an assertion, gives a bearer token, knows its own tokens."""

import base64
import binascii
import json
import secrets
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs

from steadfast.demo.ga4.messages import CREDENTIALS_INVALID, CREDENTIALS_MISSING

GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
LIFETIME = timedelta(hours=1)
NEEDED_CLAIMS = ("iss", "scope", "aud", "iat", "exp")


class TokenRefused(Exception):
    """The token endpoint's error answer; the first argument is the code, the second the description."""


class TokenBook:
    """Tokens that were given out, with their end."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._tokens: dict[str, datetime] = {}

    def issue(self, body: bytes) -> dict[str, Any]:
        """The answer to a token request in form encoding; the signature itself is not checked."""
        form = {key: values[0] for key, values in parse_qs(body.decode("utf-8", "replace")).items()}
        if form.get("grant_type") != GRANT:
            raise TokenRefused("unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}")
        _check_assertion(form.get("assertion", ""))
        token = "ya29.emulated-" + secrets.token_urlsafe(24)
        self._tokens[token] = self._clock() + LIFETIME
        return {"access_token": token, "expires_in": int(LIFETIME.total_seconds()), "token_type": "Bearer"}

    def check(self, authorization: str | None) -> None:
        """Refuse with 401 a missing credential, and one that was not given out here or has ended."""
        if not authorization:
            raise replace(CREDENTIALS_MISSING)
        end = self._tokens.get(authorization.removeprefix("Bearer "))
        if end is None or end <= self._clock():
            raise replace(CREDENTIALS_INVALID)

    def revoke_all(self) -> None:
        """Make every token given out so far invalid."""
        self._tokens.clear()


def _check_assertion(assertion: str) -> None:
    parts = assertion.split(".")
    if len(parts) != 3 or not all(parts):
        raise TokenRefused("invalid_grant", "Invalid JWT: it must have a header, a payload and a signature.")
    header, claims = _read_part(parts[0]), _read_part(parts[1])
    if header.get("alg") != "RS256":
        raise TokenRefused("invalid_grant", f"Invalid JWT: algorithm {header.get('alg')} is not RS256.")
    if missing := [name for name in NEEDED_CLAIMS if not claims.get(name)]:
        raise TokenRefused("invalid_grant", f"Invalid JWT: claims {', '.join(missing)} are missing.")


def _read_part(part: str) -> dict[str, Any]:
    try:
        content = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TokenRefused("invalid_grant", "Invalid JWT: a part is not base64 of JSON.") from error
    if not isinstance(content, dict):
        raise TokenRefused("invalid_grant", "Invalid JWT: a part is not a JSON object.")
    return content
