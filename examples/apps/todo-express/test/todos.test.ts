import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { app } from "../src/app.js";

const server = app.listen(0, "127.0.0.1");
let base: string;

beforeAll(async () => {
  if (!server.listening) await new Promise((resolve) => server.once("listening", resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(() => void server.close());

function post(path: string, body: unknown) {
  return fetch(base + path, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify(body),
  });
}

test("a todo with a due date is listed with the days left", async () => {
  const created = await post("/api/todos", { title: "milk", dueDate: "2099-01-01" });
  expect(created.status).toBe(201);
  const [todo] = await (await fetch(`${base}/api/todos`)).json();
  expect(todo.title).toBe("milk");
  expect(todo.daysLeft).toBeGreaterThan(0);
});

test("a todo without a title is refused", async () => {
  expect((await post("/api/todos", {})).status).toBe(400);
});
