import assert from "node:assert/strict";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";
import { app } from "../src/app.js";

const server = app.listen(0, "127.0.0.1");
let base: string;

before(async () => {
  if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

after(() => server.close());

function post(path: string, body: unknown) {
  return fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

test("a todo with a due date is listed with the days left", async () => {
  const created = await post("/api/todos", { title: "milk", dueDate: "2099-01-01" });
  assert.equal(created.status, 201);
  const [todo] = await (await fetch(`${base}/api/todos`)).json();
  assert.equal(todo.title, "milk");
  assert.ok(todo.daysLeft > 0);
});

test("a todo without a title is refused", async () => {
  assert.equal((await post("/api/todos", {})).status, 400);
});
