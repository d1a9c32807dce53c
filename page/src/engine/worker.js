// The worker's entry: the browser's messages, and a break between steps in which new ones can come in.

import wasm from "./gemm.wasm";
import { Session } from "./session.js";

/** @type {(() => void)[]} */
const tasks = [];
const channel = new MessageChannel(); // setTimeout would wait 4 ms, a channel waits .02
channel.port1.onmessage = () => tasks.shift()?.();
const session = new Session((message) => postMessage(message), wasm, (task) => {
  tasks.push(task);
  channel.port2.postMessage(null);
});
onmessage = ({ data }) => session.receive(data);
