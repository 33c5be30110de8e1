// What the pages ask of the server: the state, which is waited for, and pictures, fetched ahead.

import { tell } from "./controls.js";

const TOKEN = new URLSearchParams(location.search).get("token") ?? "";
const KEPT = { image: 10, crop: 20 };
const RETRY = 1000;

export const withToken = (page) => `${page}?token=${encodeURIComponent(TOKEN)}`;

/** Ask the server; rejects if nothing answers. */
export async function call(path, body) {
  const options = { headers: { Authorization: `Bearer ${TOKEN}` }, cache: "no-store" };
  if (body !== undefined) {
    options.method = "POST";
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  return { status: response.status, content: await response.json() };
}

/** Wait until it is time to ask again. */
export const wait = () => new Promise((resolve) => setTimeout(resolve, RETRY));

/** Ask until the server answers; what it is asked is kept meanwhile. */
export async function callUntilHeard(path, body) {
  for (let failed = false; ; failed = true) {
    let problem;
    try {
      const reply = await call(path, body);
      if (reply.status < 500) {
        if (failed) tell("");
        return reply;
      }
      problem = reply.content.error;
    } catch {
      problem = "No answer from the server. Is alseg annotate still running?";
    }
    const kept = body ? " Your answer is kept, and sent again until it arrives." : " Trying again.";
    tell(problem + kept);
    await wait();
  }
}

const pictures = { image: new Map(), crop: new Map() };

/** Return a picture, fetched once; only the latest are kept. */
export function picture(kind, name) {
  const kept = pictures[kind];
  let found = kept.get(name);
  if (found) kept.delete(name);
  else {
    found = fetchPicture(kind, name);
    found.catch(() => kept.delete(name));
  }
  kept.set(name, found);
  for (const oldest of [...kept.keys()].slice(0, Math.max(0, kept.size - KEPT[kind]))) {
    kept.get(oldest).then((bitmap) => bitmap.close(), () => {});
    kept.delete(oldest);
  }
  return found;
}

async function fetchPicture(kind, name) {
  const response = await fetch(`${kind}/${name}`, {
    headers: { Authorization: `Bearer ${TOKEN}` },
    cache: "no-store",
  });
  if (!response.ok) {
    const refused = new Error((await response.json()).error);
    refused.isRefusal = true;
    throw refused;
  }
  return createImageBitmap(await response.blob());
}

/** Fetch the pictures of queries that come soon; what fails now is fetched when it is shown. */
export function prefetch(queries) {
  for (const query of queries.slice(0, KEPT.image - 2)) {
    picture("image", query.image).catch(() => {});
    picture("crop", query.crop).catch(() => {});
  }
}
