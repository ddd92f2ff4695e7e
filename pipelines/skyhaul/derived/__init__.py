"""Datasets made from datasets: rows in another order, in other shards, or fewer of them.

A derived dataset is a dataset like any other: a plan, commit records, files. What its plan pins are the rows
of each shard (`skyhaul.shards.row_content`), and the files of the datasets that they come from;
docs/derived.md has the form. Nothing here knows of Beam: `skyhaul.beam.datasets` brings the rows.
"""
