"""Put the files of a folder into the bucket `site` of an S3 server: python fill_bucket.py ENDPOINT FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

import botocore.session
from botocore.config import Config


def main(endpoint: str, folder: Path) -> None:
    settings = Config(s3={"addressing_style": "path"})
    client = botocore.session.get_session().create_client("s3", endpoint_url=endpoint, config=settings)
    client.create_bucket(Bucket="site")
    for path in sorted(folder.iterdir()):
        with path.open("rb") as file:
            client.put_object(Bucket="site", Key=path.name, Body=file)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
