/** What agents keep and tell each other. It belongs to the name of an agent, within a namespace. */
import type { Refusal, StateCondition, Writer } from "../../core/agent-data.ts";
import type { Json } from "../../core/json.ts";
import type { Addressee } from "../../core/protocol/agent-data.ts";
import type { Page, PageOf } from "./pages.ts";

export interface AgentState {
  document: Json;
  /** Grows with every write, from 1. */
  revision: number;
  updatedAt: Date;
  expiresAt: Date | null;
  writer: Writer;
}

export interface StateWrite {
  /** Undefined takes it away. */
  document: Json | undefined;
  ttlMs: number | null;
  condition?: StateCondition | undefined;
  /** The last write of the state, repeated under its id, is accepted as it was then. */
  writeId?: string | undefined;
}

export interface NewEntry {
  type: string;
  content: Json;
  ttlMs: number | null;
}

export interface MemoryEntry {
  id: string;
  type: string;
  content: Json;
  createdAt: Date;
  expiresAt: Date | null;
  writer: Writer;
}

export interface MemoryFilter extends Page {
  type?: string | undefined;
  /** As `websearch_to_tsquery` understands it. */
  search?: string | undefined;
}

/** Entries as in `MemoryFilter`, compared by meaning: by vectors that one model made. */
export interface SimilarFilter extends Pick<MemoryFilter, "type" | "search"> {
  model: string;
  vector: Float32Array;
  limit: number;
}

export interface EmbeddedEntry {
  id: string;
  vector: Float32Array;
}

/** A content that stands apart: its SHA-256 in hex, and its size. */
export interface Apart {
  hash: string;
  bytes: number;
}

/** Who sent a message: an agent by its name, somebody with an API key by the key's, or the orchestrator itself. */
export interface Sender {
  kind: "agent" | "client" | "system";
  name: string;
}

export interface NewMessage {
  /** An agent's name, or its id; a topic; or all. */
  to: Addressee;
  body: Json;
  /** Set by the store, where the body is large. */
  apart?: Apart;
  type: string | null;
  conversation: string | null;
  replyTo: string | null;
  /** Of the sender's choice: under one key a message is sent once. */
  key: string | null;
  ttlMs: number;
  /** Refused unless an agent of that name is there, or, of many, unless all that there are can take it. */
  mustRoute: boolean;
  /** Null: no reply is awaited. Else the sender is told when none has come within this. */
  expectsReplyMs: number | null;
}

export interface Message {
  id: string;
  from: Sender;
  /** The inbox's name, or, where others have it as well, the topic or all. */
  to: Addressee;
  type: string | null;
  body: Json;
  conversation: string | null;
  replyTo: string | null;
  createdAt: Date;
  expiresAt: Date;
  writer: Writer;
}

/** `repeated`: its key had been used by the sender, for the message of this id. */
export interface SentMessage {
  id: string;
  repeated: boolean;
  /** Of what is said to many: how many inboxes have it, and how many were full. */
  recipients?: number;
  missed?: number;
}

export interface SendRequest {
  namespace: string;
  from: Sender;
  messages: NewMessage[];
}

/** A message as it was written, told once that is committed. */
export interface DeliveredMessage extends Omit<Message, "createdAt" | "expiresAt"> {
  namespace: string;
  /** Names of the agents that have it. */
  inboxes: string[];
}

export interface InboxRequest {
  namespace: string;
  name: string;
  limit: number;
  /** Only those that came after the one of this number. */
  after?: number;
}

export interface Acknowledgement {
  namespace: string;
  name: string;
  ids: string[];
}

export interface InboxPage {
  /** Not acknowledged, oldest first, some 4 MiB at most; their numbers count what came to the inbox. */
  messages: (Message & { number: number })[];
  /** Of the last message that came, be it acknowledged or not; 0: none has. */
  lastNumber: number;
}

/** `message`: the reply, or that there is none; undefined: not yet. */
export interface AwaitedReply {
  /** The inbox that it comes to. */
  asker: string;
  message?: Message;
}

export interface Subscription {
  topic: string;
  createdAt: Date;
}

/** What a report writes of the agent that sends it, and tells others. */
export interface DataEffects {
  state?: StateWrite;
  memory?: NewEntry[];
  messages?: NewMessage[];
  /** Ids of messages in its inbox; others are left out. */
  acknowledge?: string[];
}

export interface AgentDataStore {
  /** The name of whom a client calls so: an agent by its id, else the text is a name. Undefined: no agent has this id. */
  nameOf(namespace: string, idOrName: string): Promise<string | undefined>;
  state(namespace: string, name: string): Promise<AgentState | undefined>;
  /** The state as it is then; undefined: there is none. */
  writeState(namespace: string, name: string, write: StateWrite): Promise<{ state?: AgentState } | Refusal>;
  /** All entries or none. */
  remember(namespace: string, name: string, entries: NewEntry[]): Promise<MemoryEntry[] | Refusal>;
  /** Newest first. */
  recall(namespace: string, name: string, filter: MemoryFilter): Promise<PageOf<MemoryEntry>>;
  /** Entries that have no vector of the filter's model and length yet, the newest first. */
  entriesToEmbed(namespace: string, name: string, filter: SimilarFilter): Promise<{ id: string; content: Json }[]>;
  /** Keeps the vectors that a model made of entries, in the place of those that another made; of what is gone, nothing. */
  keepVectors(
    namespace: string,
    name: string,
    vectors: { model: string; entries: readonly EmbeddedEntry[] },
  ): Promise<void>;
  /** Of entries with a vector of the filter's model, those closest to its vector, the closest first. */
  recallSimilar(
    namespace: string,
    name: string,
    filter: SimilarFilter,
  ): Promise<(MemoryEntry & { similarity: number })[]>;
  /** Deletes entries, of one type or one of them, and answers how many. */
  forget(namespace: string, name: string, which: { type?: string; id?: string }): Promise<number>;
  /** In order, of each request all messages or none. */
  send(requests: SendRequest[]): Promise<(SentMessage[] | Refusal)[]>;
  /** In order. */
  inboxes(requests: InboxRequest[]): Promise<InboxPage[]>;
  /** The numbers of the last messages that came to inboxes, in order; 0: none has. */
  lastNumbers(inboxes: { namespace: string; name: string }[]): Promise<number[]>;
  /** In order: how many of them were not acknowledged before. */
  acknowledge(requests: Acknowledgement[]): Promise<number[]>;
  /** The reply to a message; undefined: nobody awaits one. */
  reply(namespace: string, messageId: string): Promise<AwaitedReply | undefined>;
  /** From now on the agent has what is said to the topic. Idempotent. */
  subscribe(namespace: string, name: string, topic: string): Promise<Subscription | Refusal>;
  /** Whether it was subscribed. */
  unsubscribe(namespace: string, name: string, topic: string): Promise<boolean>;
  /** By topic. */
  subscriptions(namespace: string, name: string): Promise<Subscription[]>;
}
