import sys

from openai import OpenAI

client = OpenAI(api_key="key", base_url=f"{sys.argv[1]}/v1", timeout=float(sys.argv[2]))
client.videos.create(model="sora-2", prompt="A red kite")
