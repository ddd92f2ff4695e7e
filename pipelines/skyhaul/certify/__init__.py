"""Certify: others' software opens the dataset and finds in it what the commit records say.

`verify` proves that skyhaul kept its own promises. Here engines that know nothing of skyhaul, each in a
process of its own, without network and with throw-away caches, count rows, bytes and nulls; footers are held
against the bounds that trainers need; and a sample of shards is encoded again from its rows.
"""

from skyhaul.certify.certificate import Certificate, Check
from skyhaul.certify.certify import certify_dataset

__all__ = ["Certificate", "Check", "certify_dataset"]
