import { createFalClient } from "@fal-ai/client";

const url = process.argv[2];
// The client has no setting for another address.
const toServer = (address, options) => fetch(address.replace("https://queue.fal.run", url), options);
const client = createFalClient({ credentials: "key", fetch: toServer });
await client.queue.submit("fal-ai/veo3.1", { input: { prompt: "A red kite" } });
