/** The files of the run that an attempt belongs to, reached under its lease. */
import type { RunArtifacts } from "../../../sdk/executor.ts";
import { askServer } from "./ask-server.ts";
import { type Attempt, proofOf } from "./attempt.ts";

/** Requests whose answer is lost are repeated: to write once more what is there changes nothing. */
export function artifactsOf(attempt: Attempt): RunArtifacts {
  const { run_id } = attempt.lease;
  // The lease is looked up each time: its token changes when a repeated claim is given it again.
  const server = () => attempt.session.client.artifacts(run_id, proofOf(attempt.lease));
  return {
    read: (path) => askServer(attempt, () => server().read(path)),
    write: (path, content, options) => askServer(attempt, () => server().write(path, content, options)),
    list: (filter) => askServer(attempt, () => server().list(filter)),
  };
}
