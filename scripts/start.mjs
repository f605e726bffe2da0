/** `npm start`: installs and builds what is missing, then runs the embedded system with the example workflow. */

import "./install.mjs";
import { run } from "./run.mjs";

await run(process.execPath, ["scripts/build.mjs", "--if-stale"]);
await run(process.execPath, ["dist/cli/main.js", "dev", "--example", ...process.argv.slice(2)]);
