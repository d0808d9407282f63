import sys

import httpx
from replicate.client import Client

client = Client(api_token="key", base_url=sys.argv[1], timeout=httpx.Timeout(float(sys.argv[2])))
client.models.predictions.create(model="google/veo-3.1", input={"prompt": "A red kite"})
