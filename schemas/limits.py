"""Every limit of the protocol, each with its unit and its reason.

May import nothing of Barid; parsers, hub and node read it.
"""

from typing import Final

INTEGER_MAX: Final = 2**53 - 1
"""Largest JSON integer that every implementation reads alike (RFC 8259 section 6, I-JSON)."""

JSON_VALUES_MAX: Final = 100_000
"""Commas and brackets of one message: the largest directory has 20,000, and each may cost half a kilobyte."""

JSON_DEPTH_MAX: Final = 64
"""Nesting levels; a bulletin needs about 12."""

BULLETIN_BYTES_MAX: Final = 256 * 1024
"""Bytes of one bulletin's JSON (the bulletin's specification)."""

SEALED_PART_BYTES_MAX: Final = 192 * 1024
"""Bytes of the sealed part: 16 releasers, 500 desks and 20 attachments take 171 KB."""

RECIPIENTS_MAX: Final = 500
"""Desks of one envelope: every desk of a continent of 55 members at nine each."""

ENVELOPE_BYTES_MAX: Final = 2 * 1024 * 1024
"""Bytes of an envelope's JSON: a bulletin at its cap padded, in base64, plus 500 slots of 1.6 KB."""

STATEMENT_BYTES_MAX: Final = 256 * 1024
"""Bytes of one statement's payload: a header with 500 recipients takes about 110 KB."""

SIGNATURES_MAX: Final = 16
"""Signatures of one statement: as many releasers as one desk will ever ask for."""

ACKNOWLEDGED_ITEMS_MAX: Final = 100
"""Envelopes in one acknowledgement (the protocol)."""

ACKNOWLEDGEMENT_BYTES_MAX: Final = 64 * 1024
"""Bytes of an acknowledgement's JSON with its signature."""

TOPICS_MAX: Final = 11
"""Each topic of the vocabulary once."""

RELEASE_TO_MAX: Final = 64
"""Members named by `release_to`."""

ATTACHMENTS_MAX: Final = 20
"""Attachments of one bulletin (the bulletin's specification)."""

ATTACHMENT_BYTES_MAX: Final = 1024**3
"""Bytes of one sealed attachment; longer recordings travel in parts."""

UPLOAD_PIECE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of one piece of an upload: what is held in memory, and sent again after a cut line."""

ATTACHMENT_QUOTA_BYTES: Final = 20 * 1024**3
"""Bytes of one desk's attachments at the hub, where its operator sets nothing else."""

UPLOAD_LIFE_SECONDS: Final = 7 * 24 * 3600
"""How long an unfinished upload is kept: a week without a line."""

ATTACHMENT_ORPHAN_SECONDS: Final = 24 * 3600
"""How long an attachment is kept that no envelope names: its envelope follows within minutes."""

ENVELOPE_LIFE_SECONDS_MAX: Final = 30 * 24 * 3600
"""From `created` to `expires` (the protocol): no longer than a sealing key's private half is kept."""

CREATED_SKEW_SECONDS_MAX: Final = 24 * 3600
"""Between an envelope's `created`, or an acknowledgement's `at`, and the entry's `at` (the protocol)."""

DIRECTORY_GRACE_SECONDS: Final = 600
"""How long a directory that was in force is still taken when nothing that matters changed (the protocol)."""

WITNESS_ROUND_SECONDS: Final = 600
"""After so long witnesses are shown the newest tree, and cosign anew what has not grown (the protocol)."""

CLOCK_TOLERANCE_SECONDS: Final = 300
"""How far an entry's `at` may lie outside the quorums before and behind it (the protocol, "Two logs")."""

KEPT_QUORUMS_MAX: Final = 10_000
"""Quorums of a log that an auditor remembers, minutes apart: a month of them at least."""

REQUEST_LIFE_SECONDS_MAX: Final = 60
"""From a request signature's `created` to its `expires` (the protocol)."""

REQUEST_SKEW_SECONDS_MAX: Final = 60
"""How far a request's `created` may lie ahead of the hub's clock."""

SEALING_KEY_LIFE_SECONDS: Final = 60 * 24 * 3600
"""A sealing key is valid this long (the protocol)."""

SEALING_KEY_RENEWAL_SECONDS: Final = 30 * 24 * 3600
"""A new sealing key is made this long after its predecessor (the protocol)."""

SEALING_KEY_RATE_SECONDS: Final = 24 * 3600
"""One sealing key statement without, and one with, `revokes` in this time (the protocol)."""

BATCH_ENVELOPES_MAX: Final = 512
"""Submissions in one transaction of the sequencer (the protocol)."""

INBOX_PAGE_MAX: Final = 100
"""Items of one inbox answer."""

LONG_POLL_SECONDS_MAX: Final = 60
"""Longest wait of an inbox request (the protocol)."""

INLINE_BYTES_MAX: Final = 64 * 1024
"""A body up to this size may travel inside the inbox answer."""

OPENINGS_PAGE_MAX: Final = 256
"""Openings of one answer: one tile's width."""

TRUST_FILE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Bytes of one TUF metadata or target file: 50 members with 400 desks stay under 3 MB."""

ROOT_ROTATIONS_MAX: Final = 256
"""Root versions that a client walks in one refresh."""

GOVERNORS_MAX: Final = 64
"""Governors of a council."""

MEMBERS_MAX: Final = 128
"""Members of an exchange: twice the states of Africa."""

DESKS_PER_MEMBER_MAX: Final = 64
"""Desks of one member."""

REFUSALS_PER_HOUR_MAX: Final = 100
"""Final refusals that one desk may have logged in an hour: a person's mistakes, not a flood."""

MEMBER_KEYS_MAX: Final = 16
"""People whose keys sign for one member."""

COUNCIL_SECONDS_MAX: Final = 90 * 24 * 3600
"""Seconds of a deadline, or of the grace: what is longer is a mistake."""

BUNDLE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of `bundle.json`: a directory's TUF files are its bulk; attachments lie beside it."""

BUNDLE_ENTRIES_MAX: Final = 50_000
"""Directory entries of a bundle, from the log's first on: seven years of 500 desks' sealing keys."""

BUNDLE_FILES_MAX: Final = 20_000
"""TUF files of a bundle: the snapshots of all its directories are their bulk."""

EVIDENCE_ENTRIES_MAX: Final = 3_000
"""Directory entries of evidence: a month's without another directory are a fifth of that for 500 desks. With
their paths no more fit into `JSON_VALUES_MAX`."""

LOST_ENTRIES_BYTES_MAX: Final = 64 * 1024 * 1024
"""Bytes of what a member gives back to a hub at once: weeks of a directory log with its files."""

LOST_ENVELOPES_MAX: Final = 100
"""Receipts given back at once."""

GENERATIONS_MAX: Final = 64
"""Pairs of logs that an exchange has had: one a year would last a lifetime."""

PURGE_ORDERS_MAX: Final = 2_000
"""Purge orders of an exchange, which stay for good: with reasons at their limit 3.3 MB of a TUF file."""

PURGE_DELAY_SECONDS: Final = 600
"""How long an order is in force before the hub obeys it: whoever reads the logs by then knows it first, and
takes the missing opening for no withheld one."""

PURGE_OVERDUE_SECONDS: Final = 24 * 3600
"""After this an auditor remarks on an order that the hub has not carried out."""

WITNESSES_MAX: Final = 14
"""Witnesses of an exchange: a checkpoint with all cosignatures, old and new keys, is a note of 32 lines."""

PUBLICATION_FILES_MAX: Final = 1024
"""TUF files of one publication or directory file: some 130 members with two files each, and the roots."""

PUBLICATION_BYTES_MAX: Final = 32 * 1024 * 1024
"""Bytes of a publication, proposal or directory file: 400 desks take 3 MB, in base64 4 MB."""

PUBLICATIONS_PER_HOUR_MAX: Final = 12
"""Directories that one member's desks may have published in an hour, a quarter of those of a day."""

MEMBER_FILE_BYTES_MAX: Final = 1024 * 1024
"""Bytes of one member's file: 64 desks with five keys each take 900 KB; readers keep every version."""

TIMESTAMP_LIFE_SECONDS: Final = 24 * 3600
"""From a timestamp's signing to its expiry: a hub that is held up by its operator for a night stays fresh."""

TIMESTAMP_RENEWAL_SECONDS: Final = 3600
"""A new timestamp is signed this long after its predecessor: as often as nodes call a directory stale."""

SNAPSHOT_LIFE_SECONDS: Final = 30 * 24 * 3600
"""From a snapshot's signing to its expiry; the directory log binds readers, this only TUF's own tools."""

SNAPSHOT_RENEWAL_SECONDS: Final = SNAPSHOT_LIFE_SECONDS // 3
"""A new snapshot is signed and logged once no more of its predecessor's life is left than this."""
