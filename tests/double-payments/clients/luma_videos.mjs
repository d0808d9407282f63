import { LumaAI } from "lumaai";

const [url, seconds] = process.argv.slice(2);
const client = new LumaAI({ authToken: "key", baseURL: url, timeout: 1000 * seconds });
await client.generations.create({ model: "ray-2", prompt: "A red kite" });
