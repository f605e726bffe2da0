/** `npm test [-- vitest arguments]`: installs what is missing, then runs the tests; vitest.config.ts says which and how. */

import "./install.mjs";
import { run } from "./run.mjs";

await run(process.execPath, ["node_modules/vitest/vitest.mjs", "run", ...process.argv.slice(2)]);
