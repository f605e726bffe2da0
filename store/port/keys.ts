/** API keys. */
import type { Page, PageOf } from "./pages.ts";

export interface ApiKey {
  id: string;
  namespace: string;
  name: string;
  prefix: string;
  scopes: string[];
  /** What runs that are submitted with it may use; null: everything. */
  capabilities: string[] | null;
  createdAt: Date;
  expiresAt: Date | null;
}

export interface KeyStore {
  create(key: Omit<ApiKey, "id" | "createdAt">, keyHash: Buffer): Promise<ApiKey>;
  authenticate(keyHash: Buffer): Promise<ApiKey | undefined>;
  list(namespace: string, page: Page): Promise<PageOf<ApiKey>>;
  revoke(namespace: string, id: string): Promise<boolean>;
}
