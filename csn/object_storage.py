"""The S3 client, and its many ways of failing in words that help.

Conventions
-----------
Endpoint, region and credentials come from the environment alone, in AWS's own variables
(``AWS_ENDPOINT_URL``, ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, ``AWS_REGION`` ...). Each
process builds its own client when it first needs one, so that no secret is ever pickled. Retries
are the client's own. For `csn.storage` and `csn.shared_storage` alone; everything else asks them.
"""

import os
from collections.abc import Iterator
from io import BufferedReader
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from s3fs import S3FileSystem


READ_AHEAD_BYTES = 4 * 2**20
"""What an open object fetches at a time, and all that it keeps."""


def client() -> "S3FileSystem":
    """Client of this process; s3fs keeps one for each process and thread."""
    from s3fs import S3FileSystem  # slow to import, and not needed for local folders

    # The client itself reads AWS_DEFAULT_REGION alone.
    region = os.environ.get("AWS_DEFAULT_REGION") or os.environ.get("AWS_REGION")
    return S3FileSystem(
        use_listings_cache=False,
        default_cache_type="none",  # Arrow asks for exact ranges; read-ahead would be thrown away
        client_kwargs={"region_name": region} if region else {},
    )


def read(path: str) -> bytes:
    """Whole content of an object, in one GET: ranges could come from different versions of it."""
    content = client().cat_file(path, max_concurrency=1)
    assert isinstance(content, bytes)
    return content


def open_read(path: str) -> BufferedReader:
    """Open an object to be read in ranges, all of the version that is there now."""
    file: Any = client().open(path, "rb", block_size=READ_AHEAD_BYTES, cache_type="readahead")
    return BufferedReader(file)


def remove(bucket: str, key: str) -> list[str]:
    """Remove an object, or all below a key; gives back what could not be removed, and why.

    The file system's own ``rm`` reads ``*`` and ``[`` in names as patterns and says nothing of
    refusals.
    """
    names = [name.partition("/")[2] for name in client().find(f"{bucket}/{key}")]
    left: list[str] = []
    for start in range(0, len(names), 1000):
        objects = [{"Key": name} for name in names[start : start + 1000]]
        answer = client().call_s3(
            "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True}
        )
        errors = (answer or {}).get("Errors", [])
        left += [f"{error.get('Key')}: {error.get('Code')}" for error in errors]
    return left


def create(path: str, data: bytes) -> bool:
    """Write an object unless one of that name is there; whether it was written."""
    bucket, _, key = path.partition("/")
    try:
        client().call_s3("put_object", Bucket=bucket, Key=key, Body=data, IfNoneMatch="*")
    except OSError as error:
        if code(error) in ("PreconditionFailed", "412"):
            return False
        raise
    return True


def list_objects(bucket: str, prefix: str, after: str = "", delimiter: str = "") -> Iterator[dict]:
    """Every object whose key begins with `prefix`, with its size, ETag and time of writing.

    Parameters
    ----------
    after : str
        List only keys that are sorted behind this one.
    delimiter : str
        With ``/``, only the objects directly in a folder.
    """
    request: dict[str, Any] = {"Bucket": bucket, "Prefix": prefix}
    request |= {"StartAfter": after} if after else {}
    request |= {"Delimiter": delimiter} if delimiter else {}
    while True:
        page: Any = client().call_s3("list_objects_v2", **request)
        yield from page.get("Contents", ())
        if not page.get("IsTruncated"):
            return
        request["ContinuationToken"] = page["NextContinuationToken"]


_PASSING_CODES = (
    *("500", "502", "503", "504", "429", "InternalError", "ServiceUnavailable", "SlowDown"),
    *("RequestTimeout", "Throttling", "RequestLimitExceeded", "ConditionalRequestConflict"),
)
_OUR_CODES = (
    *("ExpiredToken", "TokenRefreshRequired", "InvalidToken", "InvalidAccessKeyId"),
    *("SignatureDoesNotMatch", "RequestTimeTooSkewed", "AccountProblem", "NoSuchBucket"),
)


def is_passing(error: BaseException) -> bool:
    """Whether the same request may succeed later: the store is overloaded, or out of reach."""
    from aiohttp import ClientError as TransferError
    from botocore import exceptions as boto

    if reason := code(error):
        return reason in _PASSING_CODES
    seen: BaseException | None = error
    while seen is not None:
        kinds = (boto.ConnectionError, boto.HTTPClientError, TransferError)
        kinds += (ConnectionError, TimeoutError)
        if isinstance(seen, kinds) or type(seen).__name__ in _CUT_SHORT:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


_CUT_SHORT = ("IncompleteRead", "FSTimeoutError", "ResponseParserError")
"""Of libraries below the client: an answer that broke off."""


def concerns_all(error: BaseException) -> bool:
    """Whether every request would be refused alike: credentials, the clock, the bucket."""
    from botocore import exceptions as boto

    missing = (boto.NoCredentialsError, boto.PartialCredentialsError)
    return code(error) in _OUR_CODES or isinstance(error, missing)


def code(error: BaseException) -> str:
    """S3's own code for a refusal, such as NoSuchBucket; empty where there is none."""
    seen: BaseException | None = error
    while seen is not None:
        response = getattr(seen, "response", None)
        if response:
            return str(response.get("Error", {}).get("Code", ""))
        seen = seen.__cause__ or seen.__context__
    return ""


def faults() -> tuple[type[Exception], ...]:
    """Return what the client raises; a ValueError is its answer to an endpoint that is no URL."""
    from aiohttp import ClientError as TransferError  # of an answer that breaks off
    from botocore.exceptions import BotoCoreError, ClientError

    return (OSError, BotoCoreError, ClientError, TransferError, ValueError)


def explanation(bucket: str, doing: str, error: Exception) -> str:
    """Say what `error` means and what to try, without any secret; one line."""
    from botocore import exceptions as boto

    # Host and port alone: the address itself may hold a password.
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""
    host = urlsplit(endpoint).netloc.rpartition("@")[2] or "AWS"
    reason = code(error)
    if reason == "NoSuchBucket":
        return f"there is no bucket {bucket!r} at {host} ({doing}); make it, or correct the name"
    if isinstance(error, FileNotFoundError):
        return (
            f"no such object at {host} ({doing}); "
            "is the stage that writes it finished, and the root right?"
        )
    if isinstance(error, PermissionError):
        return (
            f"access denied by {host} ({reason or error}, {doing}); check AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY, and what this key may do there"
        )
    if isinstance(error, boto.NoCredentialsError | boto.PartialCredentialsError):
        return (
            f"no credentials for {host} ({doing}); "
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment"
        )
    if isinstance(error, ValueError):
        return "AWS_ENDPOINT_URL is not of the form http://host:port; correct it"
    if isinstance(error, boto.ConnectionError | boto.HTTPClientError | OSError) and not reason:
        return f"cannot reach {host} ({doing}); check AWS_ENDPOINT_URL and the network"
    return f"{doing} failed at {host} ({str(error).splitlines()[0]})"
