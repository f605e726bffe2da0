/** The executors that come with Skein. */

import type { Executor } from "../../sdk/executor.ts";
import { codeJavascript } from "./code-javascript.ts";
import { coreEcho } from "./core-echo.ts";
import { coreSleep } from "./core-sleep.ts";
import { httpRequest } from "./http-request/http-request.ts";
import { transformJsonata } from "./transform-jsonata.ts";

export interface BuiltinOptions {
  /** Internal targets `http.request` may reach: the entries of SKEIN_HTTP_ALLOW. Default: none. */
  httpAllow?: readonly string[];
}

/** One of each, as the executor agent offers them. Throws CONFIG_INVALID for an unusable `httpAllow` entry. */
export function builtinExecutors({ httpAllow = [] }: BuiltinOptions = {}): readonly Executor[] {
  return [coreEcho, coreSleep, httpRequest({ allow: httpAllow }), transformJsonata, codeJavascript];
}

/** `own` executors and the built-in ones; one of the same capability takes the built-in's place. */
export function withBuiltin(own: readonly Executor[], options: BuiltinOptions): Executor[] {
  const names = new Set(own.map(({ capability }) => capability));
  return [...builtinExecutors(options).filter(({ capability }) => !names.has(capability)), ...own];
}
