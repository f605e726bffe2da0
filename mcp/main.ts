/** The doors of the MCP server: one to start as a process, one to mount in a server. */
export { mountMcp } from "./http.ts";
export { runMcpStdio } from "./stdio.ts";
