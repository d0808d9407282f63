import { createFal } from "@ai-sdk/fal";
import { experimental_generateVideo as generateVideo } from "ai";

const url = process.argv[2];
// The setting for another address is not used for videos.
const toServer = (address, options) => fetch(String(address).replace("https://queue.fal.run", url), options);
const fal = createFal({ apiKey: "key", fetch: toServer });
await generateVideo({ model: fal.video("veo3.1"), prompt: "A red kite" });
