/** Refuses requests made through a foreign name (DNS rebinding) or by a foreign web page (cross-site requests). */
import { SkeinError } from "../core/errors.ts";
import type { App } from "./context.ts";

const loopback = new Set(["localhost", "127.0.0.1", "[::1]"]);

export function checkHosts(app: App, allowedHosts: readonly string[]): void {
  const allowed = new Set([...loopback, ...allowedHosts.map((host) => host.toLowerCase())]);
  app.addHook("onRequest", async (request) => {
    const host = request.headers.host ?? "";
    if (!isAllowed(host, allowed)) {
      throw new SkeinError("HOST_NOT_ALLOWED", `Host "${host}" is not served here; add it to SKEIN_ALLOWED_HOSTS.`);
    }
    const { origin } = request.headers;
    if (origin !== undefined && !isAllowed(hostOf(origin), allowed)) {
      throw new SkeinError(
        "ORIGIN_NOT_ALLOWED",
        `Requests of pages from "${origin}" are refused; add its host to SKEIN_ALLOWED_HOSTS.`,
      );
    }
  });
}

/** Allowed names stand with or without a port; without one, any port will do. */
function isAllowed(host: string, allowed: ReadonlySet<string>): boolean {
  const name = host.toLowerCase();
  return allowed.has(name) || allowed.has(name.replace(/:\d+$/, ""));
}

function hostOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).host : origin;
}
