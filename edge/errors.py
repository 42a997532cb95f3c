"""What can go wrong on an edge node, a class per cause."""


class EdgeError(Exception):
    """Something an operator has to know about this machine."""


class NotRegistered(EdgeError):
    """The server knows no host with this UUID and serial."""


class Refused(EdgeError):
    """The server knows the machine and doesn't let it in."""


class TokenRefused(EdgeError):
    """The token service doesn't accept this machine's client id and secret."""


class ActionFailed(EdgeError):
    """An action of the workflow did not do what it is for; the text goes to the operator."""


class WorkflowFailed(EdgeError):
    """The workflow ended with a failed or timed-out action."""

    def __init__(self, action: str, message: str) -> None:
        super().__init__(f"{action}: {message}")
        self.action, self.message = action, message
