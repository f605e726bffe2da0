/** All that every door of the MCP server must do, in a version of the protocol, over one connection. */
import type { Client } from "@modelcontextprotocol/client";
import { afterAll, beforeAll, describe } from "vitest";
import type { Client as RestClient } from "../sdk/client.ts";
import { describeAgents } from "./agents.suite.ts";
import { describeResources } from "./resources.suite.ts";
import { describeTools, type ProtocolVersion } from "./tools.suite.ts";
import { describeWorkflows } from "./workflows.suite.ts";
import { describeWorking } from "./working.suite.ts";

/** `connect` opens a client that may do everything; `rest` asks the same server, past MCP. */
export function describeDoor(
  version: ProtocolVersion,
  connect: (version: ProtocolVersion) => Promise<Client>,
  rest: () => RestClient,
): void {
  describe(`over a connection of ${version}`, () => {
    let client: Client;
    const connected = () => client;

    beforeAll(async () => {
      client = await connect(version);
      // The official client checks answers against the output schemas of the tools it has listed.
      await client.listTools();
    });
    afterAll(async () => {
      await client?.close();
    });

    describeTools(version, connected, rest);
    describeAgents(version, connected);
    describeResources(version, connected, rest);
    describeWorkflows(version, connected);
    describeWorking(version, connected, rest);
  });
}
