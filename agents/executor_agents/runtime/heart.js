// @ts-check
/**
 * Keeps leases and the agent's presence alive by itself, and tells what it hears. Plain JavaScript, so that the thread
 * in `heartbeat.worker.js` loads it from sources and from the compiled package alike.
 */

/**
 * @typedef {object} Lease
 * @property {number} id the attempt's name within this process
 * @property {string} task_id
 * @property {number} attempt
 * @property {string} lease_token
 * @property {number} lease_ms
 * @property {number} ageMs at most so long ago it was granted or confirmed
 *
 * @typedef {{ type: "identity", agentId: string, token: string, leaseMs: number }
 *   | { type: "hold", leases: Lease[] }
 *   | { type: "drop", ids: number[] }
 *   | { type: "progress", id: number, json: string }
 *   | { type: "consuming", isAlive: boolean }} Order
 *
 * @typedef {"lost" | "cancel" | "silent"} Ending the server said `lost` or `cancel`, or was silent for too long
 *
 * @typedef {{ type: "ended", endings: [id: number, ending: Ending][] }
 *   | { type: "queues", queues: Record<string, string> }
 *   | { type: "draining" }
 *   | { type: "forgotten", token: string }
 *   | { type: "trouble", message: string }} News
 *
 * @typedef {Lease & { isNew: boolean, confirmedAt: number, dueAt: number, limitMs: number, progress: string | undefined }} Held
 * `isNew` until its first heartbeat; times are of `performance.now()`, `confirmedAt` when the last good request was sent
 */

/** The first heartbeat of an attempt: soon enough that a crash after it counts as one, late enough to spare short tasks. */
const FIRST_BEAT_MS = 1_000;
/** Heartbeats per lease. */
const BEATS_PER_LEASE = 3;
/** The server grants this part of the lease until the first heartbeat has come (two beats). */
const FIRST_LEASE_SHARE = 2 / 3;
/** Part of a lease after which we count it as lost: the rest is the margin to stop in before someone else begins. */
const SAFE_SHARE = 0.9;
/** After a failed heartbeat the next follows within this part of the lease, but not sooner than `MIN_RETRY_MS`. */
const RETRY_SHARE = 1 / 30;
const MIN_RETRY_MS = 50;
/** Leases due within this part of a lease go along with those that are due, so that beats fall together. */
const TOGETHER_SHARE = 1 / 6;
/** Time between two requests, so that first heartbeats fall together too; a twentieth of the lease if that is less. */
const GAP_MS = 200;
const GAP_SHARE = 1 / 20;
/** A request takes no more leases, and no more progress notes than fit a body of 1 MiB with ease. */
const MAX_LEASES = 1_000;
const MAX_PROGRESS_CHARS = 256 * 1_024;
/** What the other thread said of its consumers counts for this long: it may have stopped since, as a whole. */
const CONSUMING_FRESH_MS = 20_000;
/** The longest time between two signs of presence. */
const PRESENCE_MS = 10_000;
/** Answers later than this are as good as none; a third of the lease if that is less. */
const ANSWER_WITHIN_MS = 10_000;
const MIN_ANSWER_MS = 250;

/**
 * @param {object} options
 * @param {string} options.url base address of the server
 * @param {number} options.slots
 * @param {typeof fetch} options.send
 * @param {(news: News) => void} options.tell
 * @returns {{ receive(order: Order): void, stop(): void }}
 */
export function startHeart({ url, slots, send, tell }) {
  const base = url.replace(/\/+$/, "");
  /** @type {Map<number, Held>} */
  const held = new Map();
  /** @type {{ agentId: string, token: string, leaseMs: number } | undefined} */
  let identity;
  let queues = "";
  let isBeating = false;
  /** No request begins before. */
  let nextBeatAt = 0;
  let presentAt = Number.POSITIVE_INFINITY;
  /** What was last said of the consumers; undefined where there are none. @type {{ isAlive: boolean, at: number } | undefined} */
  let consuming;
  /** Of the sign of presence that the server keeps waiting until there is news. @type {AbortController | undefined} */
  let presence;
  /** @type {NodeJS.Timeout | undefined} */
  let timer;
  let timerAt = Number.POSITIVE_INFINITY;
  let isStopped = false;

  /** @param {number} at */
  function wakeBy(at) {
    if (isStopped || at >= timerAt) return;
    clearTimeout(timer);
    timerAt = at;
    timer = setTimeout(tick, Math.min(Math.max(0, at - performance.now()), PRESENCE_MS));
  }

  function tick() {
    timerAt = Number.POSITIVE_INFINITY;
    endSilent();
    if (!isBeating) void beat();
    if (!presence && performance.now() >= presentAt) void present();
    if (!presence) wakeBy(presentAt);
    for (const lease of held.values()) attend(lease);
  }

  /** Makes sure that the timer rings for what this lease needs next. @param {Held} lease */
  function attend(lease) {
    wakeBy(fenceOf(lease));
    if (identity && !isBeating) wakeBy(Math.max(lease.dueAt, nextBeatAt));
  }

  /** Nobody may run on a lease that the server may have given away. */
  function endSilent() {
    const silent = Array.from(held.values()).filter((lease) => fenceOf(lease) <= performance.now());
    end(silent.map(({ id }) => [id, "silent"]));
  }

  /** @param {[number, Ending][]} endings */
  function end(endings) {
    if (endings.length === 0) return;
    for (const [id] of endings) held.delete(id);
    tell({ type: "ended", endings });
  }

  async function beat() {
    const due = identity && performance.now() >= nextBeatAt ? dueLeases() : [];
    if (due.length === 0) return;
    isBeating = true;
    nextBeatAt = performance.now() + Math.min(GAP_MS, shortestOf(due) * GAP_SHARE);
    await Promise.all(chunksOf(due).map((chunk) => sendBeat(chunk)));
    isBeating = false;
    for (const lease of held.values()) attend(lease);
  }

  function dueLeases() {
    const at = performance.now();
    const all = Array.from(held.values());
    if (!all.some((lease) => lease.dueAt <= at)) return [];
    // An attempt's first heartbeat keeps its time: most are over before it, and cost no request at all.
    return all.filter((lease) => lease.dueAt - (lease.isNew ? 0 : lease.lease_ms * TOGETHER_SHARE) <= at);
  }

  /** @param {Held[]} leases */
  async function sendBeat(leases) {
    const sentAt = performance.now();
    const body = leases.map(({ task_id, attempt, lease_token, progress }) => {
      const proof = JSON.stringify({ task_id, attempt, lease_token });
      return progress === undefined ? proof : `${proof.slice(0, -1)},"progress":${progress}}`;
    });
    const withinMs = Math.min(ANSWER_WITHIN_MS, shortestOf(leases) / BEATS_PER_LEASE);
    const notes = leases.map((lease) => lease.progress);
    const answer = await post("/v1/tasks/heartbeat", `{"leases":[${body.join()}]}`, withinMs);
    const states = answer?.leases;
    const isAnswer = Array.isArray(states) && states.length === leases.length;
    /** @type {[number, Ending][]} */
    const endings = [];
    for (const [i, lease] of leases.entries()) {
      if (held.get(lease.id) !== lease) continue; // dropped, or under a new token by now
      const state = isAnswer ? states[i].state : undefined;
      if (state === "lost" || state === "cancel") endings.push([lease.id, state]);
      else if (state === "ok") confirm(lease, sentAt, notes[i]);
      else retry(lease);
    }
    end(endings);
  }

  /** @param {Held} lease @param {number} sentAt @param {string | undefined} note */
  function confirm(lease, sentAt, note) {
    lease.isNew = false;
    lease.confirmedAt = sentAt;
    lease.limitMs = lease.lease_ms * SAFE_SHARE;
    lease.dueAt = sentAt + lease.lease_ms / BEATS_PER_LEASE;
    if (lease.progress === note) lease.progress = undefined;
    else hurry(lease);
  }

  /** The note may be what the server refuses; it is worth less than the lease. @param {Held} lease */
  function retry(lease) {
    lease.progress = undefined;
    lease.dueAt = performance.now() + Math.max(lease.lease_ms * RETRY_SHARE, MIN_RETRY_MS);
  }

  /** A note should be seen soon, yet many notes must not become many requests. @param {Held} lease */
  function hurry(lease) {
    lease.dueAt = Math.min(lease.dueAt, performance.now() + Math.min(FIRST_BEAT_MS, lease.lease_ms / BEATS_PER_LEASE));
  }

  async function present() {
    if (!identity) return;
    const { agentId, leaseMs } = identity;
    const intervalMs = Math.min(PRESENCE_MS, leaseMs / BEATS_PER_LEASE);
    const current = new AbortController();
    presence = current;
    presentAt = performance.now() + intervalMs;
    const body = JSON.stringify({
      load: { running: held.size, slots },
      wait: intervalMs / 1_000,
      ...(consuming && { consuming: consuming.isAlive && performance.now() - consuming.at < CONSUMING_FRESH_MS }),
    });
    const withinMs = 2 * intervalMs; // the wait, and as long again for the answer
    const answer = await post(`/v1/agents/${encodeURIComponent(agentId)}/heartbeat`, body, withinMs, current.signal);
    if (presence !== current) return;
    presence = undefined;
    if (answer?.news) checkNow();
    wakeBy(presentAt);
    if (!answer?.queues) return;
    const heard = JSON.stringify(answer.queues);
    if (heard !== queues) tell({ type: "queues", queues: answer.queues });
    queues = heard;
    if (answer.draining) tell({ type: "draining" });
  }

  /** Something was cancelled or changed: heartbeats say which leases, and the next sign of presence says what else. */
  function checkNow() {
    const at = performance.now();
    presentAt = at + GAP_MS;
    for (const lease of held.values()) {
      lease.dueAt = at;
      attend(lease);
    }
  }

  /**
   * The parsed answer; undefined when there is none to use, or when `signal` ended it.
   * @param {string} path @param {string} body @param {number} withinMs @param {AbortSignal} [signal]
   * @returns {Promise<any>}
   */
  async function post(path, body, withinMs, signal) {
    const deadline = AbortSignal.timeout(Math.ceil(Math.max(MIN_ANSWER_MS, withinMs)));
    const token = identity?.token ?? "";
    try {
      const response = await send(base + path, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json", accept: "application/json" },
        body,
        signal: signal ? AbortSignal.any([signal, deadline]) : deadline,
      });
      if (response.status === 401 || response.status === 404) forget(token);
      if (response.ok) return await response.json();
      await response.text();
      tell({ type: "trouble", message: `the server answered ${response.status} to a heartbeat` });
    } catch (error) {
      if (signal?.aborted) return;
      tell({ type: "trouble", message: `no answer to a heartbeat: ${error instanceof Error ? error.message : error}` });
    }
  }

  /** @param {string} token */
  function forget(token) {
    if (identity?.token !== token) return;
    identity = undefined;
    endPresence();
    tell({ type: "forgotten", token });
  }

  function endPresence() {
    presence?.abort();
    presence = undefined;
    presentAt = Number.POSITIVE_INFINITY;
  }

  return {
    receive(order) {
      if (order.type === "identity") {
        endPresence();
        identity = order;
        held.clear();
        queues = "";
        // At once: the connection is warm by the time a lease depends on it.
        presentAt = performance.now();
        wakeBy(presentAt);
      } else if (order.type === "hold") {
        for (const lease of order.leases) {
          const heldLease = toHeld(lease);
          held.set(lease.id, heldLease);
          attend(heldLease);
        }
      } else if (order.type === "drop") {
        for (const id of order.ids) held.delete(id);
      } else if (order.type === "consuming") {
        consuming = { isAlive: order.isAlive, at: performance.now() };
      } else {
        const lease = held.get(order.id);
        if (!lease) return;
        lease.progress = order.json;
        hurry(lease);
        attend(lease);
      }
    },
    stop() {
      isStopped = true;
      clearTimeout(timer);
      endPresence();
      held.clear();
    },
  };
}

/** @param {Lease} lease @returns {Held} */
function toHeld(lease) {
  return {
    ...lease,
    isNew: true,
    confirmedAt: performance.now() - lease.ageMs,
    dueAt: performance.now() + Math.min(FIRST_BEAT_MS, lease.lease_ms / BEATS_PER_LEASE),
    limitMs: lease.lease_ms * FIRST_LEASE_SHARE * SAFE_SHARE,
    progress: undefined,
  };
}

/** @param {Held[]} leases */
function shortestOf(leases) {
  return leases.reduce((shortest, lease) => Math.min(shortest, lease.lease_ms), Number.POSITIVE_INFINITY);
}

/** @param {Held} lease */
function fenceOf(lease) {
  return lease.confirmedAt + lease.limitMs;
}

/** @param {Held[]} leases */
function chunksOf(leases) {
  /** @type {Held[][]} */
  const chunks = [];
  let chars = Number.POSITIVE_INFINITY;
  for (const lease of leases) {
    const size = lease.progress?.length ?? 0;
    const last = chunks.at(-1);
    if (!last || last.length === MAX_LEASES || chars + size > MAX_PROGRESS_CHARS) {
      chunks.push([lease]);
      chars = size;
    } else {
      last.push(lease);
      chars += size;
    }
  }
  return chunks;
}
