import sys

from google import genai
from google.genai import types

options = types.HttpOptions(base_url=sys.argv[1], timeout=1000 * int(sys.argv[2]))
client = genai.Client(vertexai=True, api_key="key", http_options=options)
client.models.generate_videos(model="veo-3.1-generate-001", prompt="A red kite")
