import sys

from fal_client import SyncClient, client

# The client has a setting for another host, but none for plain http.
client.QUEUE_URL_FORMAT = f"{sys.argv[1]}/"
SyncClient(key="key", default_timeout=float(sys.argv[2])).submit("fal-ai/veo3.1", arguments={"prompt": "A red kite"})
