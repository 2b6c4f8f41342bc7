// Drafts of reviews, by task, in this browser: a word that was written is there until its review was received.

const PREFIX = "cultivar:draft:";
const MOST = 200;

// Returns the draft of a task; null where there is none.
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

// Keeps the draft of a task; tells whether this browser can.
export function keep(name, draft) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify({ ...draft, at: Date.now() }));
    return true;
  } catch {
    return false;
  }
}

// Forgets the draft of a task, and the oldest of the others where there are too many.
export function forget(name) {
  try {
    localStorage.removeItem(PREFIX + name);
    const names = Object.keys(localStorage).filter((key) => key.startsWith(PREFIX));
    const age = (key) => recall(key.slice(PREFIX.length))?.at ?? 0;
    names.sort((one, other) => age(other) - age(one));
    for (const key of names.slice(MOST)) localStorage.removeItem(key);
  } catch {
    // A browser that keeps no drafts has none to forget.
  }
}
