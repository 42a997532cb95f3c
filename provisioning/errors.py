"""What can keep an instance from being installed."""


class CannotInstall(Exception):
    """Nothing was begun. str() says what is wrong, for the operator; once that is mended it can be tried again."""
