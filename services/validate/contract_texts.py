"""The contracts that batches were judged by, each version's text once: so that what changed can be told later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.domain import paths

if TYPE_CHECKING:
    from services.validate.terms import Terms
    from shared.ports.ports import Ports


def keep(terms: Terms, ports: Ports) -> None:
    """Keep the text under the version that the verdict names; of a version that is known nothing is written.

    It is no longer than a definition may be.
    """
    path = paths.contract_text(terms.contract_version)
    if ports.objects.stat(path) is None:
        with ports.objects.write(path) as stream:
            stream.write(terms.contract_text.encode())
