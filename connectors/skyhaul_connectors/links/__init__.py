"""Links: what they are like, what may go over them, and how they are emulated. Knows nothing of sources.

`SharedLink` is one link as a process sees it, made of: `profile` (rate, delay, loss, contacts: frozen
values), `contract` (hours, prices, caps and the ledger that counts them), `sharing` (a worker's part of a
link that several use) and `emulation` (when bytes that enter a link come out; sans-I/O but for `Traffic`,
which drives it on a loop). Rates are in bit/s at the IP layer, times in seconds since the haul's epoch
(`clock`) where nothing else is said.
"""
