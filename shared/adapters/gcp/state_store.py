"""The documents of the services in Firestore: one commit under preconditions, a transaction only where it must be."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from shared.adapters.gcp import channels
from shared.adapters.gcp.documents import EXPIRES, NAME, encoded, fields_of, key_of, name_of, text_of, version_of
from shared.adapters.gcp.errors import translated, translating, vendor_errors
from shared.adapters.gcp.patience import briefly
from shared.adapters.gcp.state_query import in_parts, structured
from shared.domain.checks import check
from shared.domain.errors import Conflict, LimitExceeded, StoreUnavailable
from shared.ports.state_store import Delete, Expect, Put, Stored, StoreLimits, Where

if TYPE_CHECKING:
    from google.cloud.firestore_v1.services.firestore import FirestoreClient
    from google.cloud.firestore_v1.types import Document, Write

TRIES_MAX: Final = 6  # of a commit that others are in the way of
_PAUSE_SECONDS: Final = 0.05  # before the second try, doubled with each, between half of it and all
Place = tuple[str, str]


def _never(collection: str, data: Mapping[str, Any]) -> int:
    return 0


class FirestoreStateStore:
    """A ``StateStore`` in one database.

    A precondition on a document that is written goes with its write: creating is a write that wants no document.
    Only what was read and not written is read again in a transaction, whose locks make others wait.
    ``lives_seconds`` says how long a document of a collection is kept (0 = for good); Firestore removes it within a
    day after, and until then it is not shown.
    """

    def __init__(
        self,
        project: str,
        *,
        database: str = "(default)",
        emulator: str = "",
        limits: StoreLimits | None = None,
        lives_seconds: Callable[[str, Mapping[str, Any]], int] = _never,
        now: Callable[[], int] = lambda: time.time_ns() // 1_000,
    ) -> None:
        self.limits = limits or StoreLimits()
        self._database = f"projects/{project}/databases/{database}"
        self._documents = f"{self._database}/documents"
        self._emulator = emulator
        self._lives_seconds = lives_seconds
        self._now = now
        self._made: FirestoreClient | None = None

    # ── reading ──

    def get(self, collection: str, key: str) -> Stored | None:
        """The document, or None."""
        from google.api_core.exceptions import NotFound

        name = self._name(collection, key)
        try:
            document = self._client().get_document(request={"name": name}, **briefly(twice=True))
        except NotFound:
            return None
        except vendor_errors() as error:
            raise translated(error, f"{collection}/{key}"[:200], StoreUnavailable) from error
        return None if self._expired(document) else _stored(document)

    def query(
        self,
        collection: str,
        where: Sequence[Where] = (),
        order_by: str = "",
        descending: bool = False,
        limit: int = 1_000,
    ) -> list[Stored]:
        """Documents that match all filters, by ``order_by`` (a field; "" = by key), then key; at most ``limit``."""
        check(NAME.fullmatch(collection) is not None, f"a collection is named with letters, not {collection!r}")
        check(limit >= 0, "a limit is not negative")
        found: dict[str, Document] = {}
        for part in in_parts(where) if limit else []:
            asked = structured(collection, part, order_by, descending, limit)
            with translating(f"query of {collection}", StoreUnavailable):
                answers = self._client().run_query(
                    request={"parent": self._documents, "structured_query": asked.query}, **briefly(twice=True)
                )
                documents = [answer.document for answer in answers if answer.document.name]
            found.update({document.name: document for document in documents if not self._expired(document)})
            if not asked.in_order:
                found = dict(sorted(found.items(), reverse=descending))
        return [_stored(document) for document in list(found.values())[:limit]]

    # ── writing ──

    def commit(self, writes: Sequence[Put | Delete], expect: Sequence[Expect] = ()) -> None:
        """Write all or nothing, durably, if every precondition holds; else ``Conflict``.

        Where others are in the way it is tried again after a while that nobody else waits: a conflict with what was
        expected is final, one over a lock is not.
        """
        from google.api_core.exceptions import Aborted, AlreadyExists, FailedPrecondition, NotFound

        expected = {(each.collection, each.key): each.version for each in expect}
        prepared, apart = self._prepared(writes, expected)
        for attempt in range(TRIES_MAX):
            try:
                self._commit_once(prepared, apart)
                return
            except Aborted:
                time.sleep(_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1.0))  # noqa: S311 -- spreads, hides nothing
            except (AlreadyExists, FailedPrecondition, NotFound) as error:
                raise Conflict(f"a document is not at the version it was read at: {type(error).__name__}") from error
            except vendor_errors() as error:
                raise translated(error, "commit", StoreUnavailable) from error
        raise Conflict(f"others were in the way of a commit {TRIES_MAX} times")

    def _commit_once(self, writes: list[Write], apart: dict[str, int]) -> None:
        request: dict[str, Any] = {"database": self._database, "writes": writes}
        if apart:
            transaction = self._begin(apart)
            if not writes:
                self._roll_back(transaction)
                return
            request["transaction"] = transaction
        if writes:
            self._client().commit(request=request, **briefly(twice=False))

    def _begin(self, apart: dict[str, int]) -> bytes:
        """A transaction that has read the documents at the versions expected, and keeps them there."""
        request = {
            "database": self._database,
            "documents": list(apart),
            "new_transaction": {"read_write": {}},
            "mask": {"field_paths": [EXPIRES]},
        }
        transaction = b""
        found: dict[str, int] = {}
        for answer in self._client().batch_get_documents(request=request, **briefly(twice=False)):
            transaction = answer.transaction or transaction
            if answer.found.name:
                found[answer.found.name] = version_of(answer.found)
        for name, version in apart.items():
            if found.get(name, 0) != version:
                self._roll_back(transaction)
                place = "/".join(name.rsplit("/", 2)[1:])
                raise Conflict(f"{place[:200]} is at version {found.get(name, 0)}, not {version}")
        return transaction

    def _roll_back(self, transaction: bytes) -> None:
        with suppress(*vendor_errors()):  # its locks end by themselves, a little later
            self._client().rollback(
                request={"database": self._database, "transaction": transaction}, **briefly(twice=True)
            )

    def _prepared(
        self, writes: Sequence[Put | Delete], expected: dict[Place, int]
    ) -> tuple[list[Write], dict[str, int]]:
        """The writes with their preconditions, and what is expected of documents by name that need a transaction."""
        from google.cloud.firestore_v1.types import Write

        if len(writes) > self.limits.writes_per_commit_max:
            most = self.limits.writes_per_commit_max
            raise LimitExceeded(f"a commit has {len(writes)} writes; at most {most}")
        left = dict(expected)
        prepared: dict[Place, Write] = {}
        total = 0
        for write in writes:
            place = (write.collection, write.key)
            name = self._name(*place)
            condition = _precondition(write, expected.get(place))
            if condition:
                left.pop(place, None)
            if isinstance(write, Delete):
                prepared[place] = Write(delete=name, current_document=condition)
                continue
            fields, size = self._fields(write)
            total += size
            prepared[place] = Write(update={"name": name, "fields": fields}, current_document=condition)
        if total > self.limits.commit_bytes_max:
            raise LimitExceeded(f"a commit has {total} bytes; at most {self.limits.commit_bytes_max}")
        return list(prepared.values()), {self._name(*place): version for place, version in left.items()}

    def _fields(self, write: Put) -> tuple[dict[str, Any], int]:
        place = f"{write.collection}/{write.key}"[:200]
        text = encoded(write.data, place)
        size = len(text.encode())
        if size > self.limits.document_bytes_max:
            raise LimitExceeded(f"{place}: the document has {size} bytes; at most {self.limits.document_bytes_max}")
        lives = self._lives_seconds(write.collection, write.data)
        expires_at = self._now() + lives * 1_000_000 if lives else 0
        return fields_of(write.data, text, time.time_ns(), expires_at), size

    def _name(self, collection: str, key: str) -> str:
        check(NAME.fullmatch(collection) is not None, f"a collection is named with letters, not {collection!r}")
        return f"{self._documents}/{collection}/{name_of(key, self.limits)}"

    def _expired(self, document: Document) -> bool:
        if EXPIRES not in document.fields:
            return False
        expires = document.fields[EXPIRES].timestamp_value.timestamp_pb()
        return int(expires.seconds) * 1_000_000 <= self._now()

    def _client(self) -> FirestoreClient:
        if self._made is None:
            from google.cloud.firestore_v1.services.firestore import FirestoreClient
            from google.cloud.firestore_v1.services.firestore.transports import FirestoreGrpcTransport

            self._made = (
                FirestoreClient(transport=FirestoreGrpcTransport(channel=channels.insecure(self._emulator)))
                if self._emulator
                else FirestoreClient()
            )
        return self._made


def _precondition(write: Put | Delete, version: int | None) -> dict[str, Any] | None:
    """What a write itself can demand of the document; None when nothing is expected, or only a transaction can."""
    if version is None or (version == 0 and isinstance(write, Delete)):
        return None
    if version == 0:
        return {"exists": False}
    return {"update_time": {"seconds": version // 1_000_000, "nanos": version % 1_000_000 * 1_000}}


def _stored(document: Document) -> Stored:
    return Stored(key_of(document), version_of(document), json.loads(text_of(document)))
