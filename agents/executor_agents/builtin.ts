/** The executors that come with Skein. */

import type { Executor } from "../../sdk/executor.ts";
import { a2aSend } from "./a2a-send/a2a-send.ts";
import { codeJavascript } from "./code-javascript.ts";
import { coreEcho } from "./core-echo.ts";
import { coreSleep } from "./core-sleep.ts";
import { emailSend, type SmtpSettings } from "./email-send.ts";
import { httpRequest } from "./http-request/http-request.ts";
import { type SqlDatabase, sqlQuery } from "./sql-query/sql-query.ts";
import { transformJsonata } from "./transform-jsonata.ts";
import { webhookSend } from "./webhook-send.ts";

export interface BuiltinOptions {
  /** Internal targets that `http.request`, `webhook.send` and `a2a.send` may reach: the entries of SKEIN_HTTP_ALLOW. Default: none. */
  httpAllow?: readonly string[];
  /** Without them, there is no `sql.query`: what an agent offers, it has to be able to do. */
  sqlDatabases?: Readonly<Record<string, SqlDatabase>> | undefined;
  /** Without it, there is no `email.send`. */
  smtp?: SmtpSettings | undefined;
  /** Without them, there is no `webhook.send`. */
  webhookSecrets?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** Those that the options allow, as the executor agent offers them. Throws CONFIG_INVALID for an unusable `httpAllow` entry. */
export function builtinExecutors({
  httpAllow = [],
  sqlDatabases,
  smtp,
  webhookSecrets,
}: BuiltinOptions = {}): readonly Executor[] {
  const guard = { allow: httpAllow };
  return [
    coreEcho,
    coreSleep,
    httpRequest(guard),
    transformJsonata,
    codeJavascript,
    a2aSend(guard),
    ...(sqlDatabases ? [sqlQuery(sqlDatabases)] : []),
    ...(smtp ? [emailSend(smtp)] : []),
    ...(webhookSecrets ? [webhookSend(webhookSecrets, guard)] : []),
  ];
}

/** `own` executors and the built-in ones; one of the same capability takes the built-in's place. */
export function withBuiltin(own: readonly Executor[], options: BuiltinOptions): Executor[] {
  const names = new Set(own.map(({ capability }) => capability));
  return [...builtinExecutors(options).filter(({ capability }) => !names.has(capability)), ...own];
}
