/** The doors of the MCP server: one to start as a process, one to mount in a server, with what that server needs before. */
export { mountMcp } from "./http.ts";
export { endWithCaller } from "./inside.ts";
export { runMcpStdio } from "./stdio.ts";
