import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";

/**
 * A TCP port of 127.0.0.1 that is free now. Taken below the range the kernel gives to outgoing connections (from 32768 on
 * Linux), so that none of those takes it before the server that asked for it.
 */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = lowest + Math.floor(Math.random() * (highest - lowest));
    if (await isFree(port)) return port;
  }
}

const lowest = 20_000;
const highest = 32_000;

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
    return (server.address() as AddressInfo).port === port;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
