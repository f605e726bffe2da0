import { ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";
import { SkeinError } from "../core/errors.ts";

/** Our error as JSON-RPC carries it, where there is no tool to answer with it: the stable code is in `data`. */
export function protocolError(error: unknown): unknown {
  if (!(error instanceof SkeinError)) return error;
  const { code, message } = error;
  const isOurs = code === "INTERNAL" || code === "SERVER_UNREACHABLE";
  const rpcCode = isOurs ? ProtocolErrorCode.InternalError : ProtocolErrorCode.InvalidParams;
  return new ProtocolError(rpcCode, `${code}: ${message}`, { code });
}
