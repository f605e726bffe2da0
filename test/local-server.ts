/** Servers of tests, on the loopback interface. */
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface LocalServer {
  /** Without a path and its slash. */
  url: string;
  /** Ends the connections that are open, too. */
  close(): Promise<void>;
}

/** Listens on a port that is free. */
export async function listenLocally(server: Server): Promise<LocalServer> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
