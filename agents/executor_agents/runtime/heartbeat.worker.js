// @ts-check
/** The thread of `heartbeat.ts`: a handler that blocks the main thread loses neither its lease nor its neighbours'. */
import { writeFileSync } from "node:fs";
import { parentPort, workerData } from "node:worker_threads";
import { startHeart } from "./heart.js";

const port = parentPort;
if (!port) throw new Error("This script runs as a worker thread");
const { url, slots, healthFile } = workerData;
const heart = startHeart({ url, slots, send, tell: (news) => port.postMessage(news) });
port.on("message", (text) => {
  const order = JSON.parse(text);
  // A registration has just been answered.
  if (order.type === "identity") touchHealthFile();
  heart.receive(order);
});

/** @type {typeof fetch} */
async function send(input, init) {
  const response = await fetch(input, init);
  if (response.ok) touchHealthFile();
  return response;
}

function touchHealthFile() {
  if (!healthFile) return;
  try {
    writeFileSync(healthFile, "");
  } catch (error) {
    port?.postMessage({ type: "trouble", message: `cannot touch the health file: ${error}` });
  }
}
