import sys

from runapi.veo_3_1 import Veo31Client

client = Veo31Client(api_key="key", base_url=sys.argv[1], timeout=int(sys.argv[2]))
client.text_to_video.create(model="veo-3.1", prompt="A red kite")
