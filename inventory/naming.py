"""The two spellings of every name: columns are snake_case, JSON is camelCase."""


def camel(name: str) -> str:
    """`host_status_timestamp` -> `hostStatusTimestamp`"""
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)


def squashed(name: str) -> str:
    """The same for all spellings: parentRegion and parent_region, siteID and siteId, localaccount."""
    return name.replace("_", "").lower()
