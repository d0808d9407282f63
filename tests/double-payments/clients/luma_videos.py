import sys

from lumaai import LumaAI

client = LumaAI(auth_token="key", base_url=sys.argv[1], timeout=float(sys.argv[2]))
client.generations.create(model="ray-2", prompt="A red kite")
