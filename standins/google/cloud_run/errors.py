"""Errors in the form that Google's APIs give them."""

from typing import Any

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ALREADY_EXISTS",
    429: "RESOURCE_EXHAUSTED",
    500: "INTERNAL",
    503: "UNAVAILABLE",
}


class ApiError(Exception):
    """A refusal: HTTP status, and what is wrong."""

    def __init__(self, code: int, message: str, status: str = "", violations: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status or STATUS[code]
        self.violations = violations

    def body(self) -> dict[str, Any]:
        """The JSON of the answer."""
        error: dict[str, Any] = {"code": self.code, "message": self.message, "status": self.status}
        if self.violations:
            found = [{"field": field, "description": said} for field, said in self.violations]
            error["details"] = [{"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": found}]
        return {"error": error}


def not_found(kind: str, name: str, region: str, project: str) -> ApiError:
    """The job or execution is not there."""
    return ApiError(
        404, f"Resource '{name}' of kind '{kind}' in region '{region}' in project '{project}' does not exist."
    )


def invalid(field: str, message: str) -> ApiError:
    """A field's value is not one that the service takes."""
    return ApiError(400, f"Violation in {field} violates known constraints: {message}", violations=((field, message),))
