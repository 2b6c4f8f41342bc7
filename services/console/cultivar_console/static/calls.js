// Calls of the review page to its server.

const page = document.querySelector("#content");

class Told extends Error {
  constructor(reason, message) {
    super(message);
    this.reason = reason;
  }
}

// Posts to the queue of the page, with the token of its session; throws Told with the reason of what failed.
export async function call(path, body = {}) {
  let response;
  try {
    response = await fetch(page.dataset.base + path, {
      method: "POST",
      headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRF-Token": page.dataset.csrf },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Told("OFFLINE", "the server cannot be reached: try again in a moment");
  }
  const answer = await response.json().catch(() => ({}));
  if (!response.ok) throw new Told(answer.reason ?? "", answer.message ?? `the server answered ${response.status}`);
  return answer;
}
