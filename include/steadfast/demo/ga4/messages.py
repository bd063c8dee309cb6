"""Every refusal the emulated API can give, with the wording, gRPC code and HTTP status of the real one.

A new refusal is one function or constant that returns an `ApiError`.
"""

from dataclasses import dataclass

PROPERTY_HELP = "To learn more about Property ID, see https://developers.google.com/analytics/devguides/reporting/data/v1/property-id."
CREDENTIAL_HELP = (
    "Expected OAuth 2 access token, login cookie or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)
FIELD_LIST = (
    "For a list of valid dimensions and metrics, "
    "see https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema "
)
PROJECT_NUMBER = "271828182845"

HTTP_STATUS = {
    "INVALID_ARGUMENT": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "INTERNAL": 500,
    "UNKNOWN": 500,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}

NOT_FOUND_PAGE = (
    "<!DOCTYPE html>\n<html lang=en>\n  <meta charset=utf-8>\n"
    "  <title>Error 404 (Not Found)!!1</title>\n"
    "  <p><b>404.</b> <ins>That's an error.</ins>\n"
    "  <p>The requested URL was not found on this server.  <ins>That's all we know.</ins>\n"
)

_WITHIN_AN_HOUR = "These quota tokens will return in under an hour."
EXHAUSTED = {
    "day": (
        "Exhausted property tokens for a property per day. "
        "These quota tokens will return in less than 24 hours."
    ),
    "hour": f"Exhausted property tokens for a property per hour. {_WITHIN_AN_HOUR}",
    "project_hour": f"Exhausted property tokens for a project per hour. {_WITHIN_AN_HOUR}",
    "concurrent": "Exhausted concurrent requests quota.",
    "server_errors": "Exhausted server errors quota.",
    "thresholded": "Exhausted potentially thresholded requests quota.",
}


@dataclass(eq=False)
class ApiError(Exception):
    """An answer that is an error: the canonical status, the text, and the machine-readable reason if any."""

    status: str
    message: str
    reason: str | None = None

    @property
    def http(self) -> int:
        """The HTTP status that goes with the canonical status."""
        return HTTP_STATUS[self.status]

    def __str__(self) -> str:
        return f"{self.status}: {self.message}"


class PlainNotFound(Exception):
    """An answer that is Google's HTML page for an unknown address, never JSON."""


class ConnectionCut(Exception):
    """An answer that breaks off: the connection is cut while the page is on its way."""


def reject_argument(message: str) -> ApiError:
    """400 with this text."""
    return ApiError("INVALID_ARGUMENT", message)


def reject_unknown_dimension(name: str) -> ApiError:
    """400: the dimension does not exist."""
    return reject_argument(f"Field {name} is not a valid dimension. {FIELD_LIST}")


def reject_unknown_metric(name: str) -> ApiError:
    """400: the metric does not exist; the real text has two spaces."""
    return reject_argument(f"Field {name} is not a valid metric.  {FIELD_LIST}")


def reject_incompatible(name: str) -> ApiError:
    """400: the fields cannot be asked for together."""
    return reject_argument(
        f"Please remove {name} to make the request compatible. The request's dimensions & metrics are "
        "incompatible. To learn more, see https://ga-dev-tools.web.app/ga4/dimensions-metrics-explorer/"
    )


def reject_json_key(name: str) -> ApiError:
    """400: the JSON body names a field that the message does not have."""
    return reject_argument(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')


def reject_property_id(text: str) -> ApiError:
    """403: the property id is not a number."""
    return ApiError(
        "PERMISSION_DENIED",
        f"Invalid property ID: {text}. A numeric Property ID is required. {PROPERTY_HELP}",
    )


def refuse_quota(bucket: str) -> ApiError:
    """429 with the text of that quota bucket."""
    return ApiError("RESOURCE_EXHAUSTED", EXHAUSTED[bucket])


NO_ACCESS = ApiError(
    "PERMISSION_DENIED", f"User does not have sufficient permissions for this property. {PROPERTY_HELP}"
)
API_DISABLED = ApiError(
    "PERMISSION_DENIED",
    f"Google Analytics Data API has not been used in project {PROJECT_NUMBER} before or it is disabled. "
    "Enable it by visiting https://console.developers.google.com/apis/api/analyticsdata.googleapis.com/"
    f"overview?project={PROJECT_NUMBER} then retry. If you enabled this API recently, wait a few minutes "
    "for the action to propagate to our systems and retry.",
    "SERVICE_DISABLED",
)
CREDENTIALS_MISSING = ApiError(
    "UNAUTHENTICATED",
    f"Request is missing required authentication credential. {CREDENTIAL_HELP}",
    "CREDENTIALS_MISSING",
)
CREDENTIALS_INVALID = ApiError(
    "UNAUTHENTICATED", f"Request had invalid authentication credentials. {CREDENTIAL_HELP}"
)
INTERNAL = ApiError("INTERNAL", "Internal error encountered.")
UNAVAILABLE = ApiError("UNAVAILABLE", "The service is currently unavailable.")
UNKNOWN = ApiError("UNKNOWN", "Unknown Error.")
DEADLINE_EXCEEDED = ApiError("DEADLINE_EXCEEDED", "Deadline expired before operation could complete.")
NEW_WORDING = ApiError(
    "RESOURCE_EXHAUSTED", "This property has used up what it may ask for. Please come back later."
)
