// @ts-check
/** The thread of `heartbeat.ts`: a handler that blocks the main thread loses neither its lease nor its neighbours'. */
import { parentPort, workerData } from "node:worker_threads";
import { startHeart } from "./heart.js";

const port = parentPort;
if (!port) throw new Error("This script runs as a worker thread");
const heart = startHeart({ ...workerData, send: fetch, tell: (news) => port.postMessage(news) });
port.on("message", (text) => heart.receive(JSON.parse(text)));
