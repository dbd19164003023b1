import express from "express";
import { addTodo, daysLeft, listTodos, toggleTodo } from "./todos.js";

export const app = express();
app.use(express.json());
app.use(express.static("public"));

app.get("/api/health", (_req, res) => {
  res.json({ status: "ok", todos: listTodos().length });
});

app.get("/api/todos", (_req, res) => {
  const today = new Date();
  res.json(listTodos().map((todo) => ({ ...todo, daysLeft: daysLeft(todo, today) })));
});

app.post("/api/todos", (req, res) => {
  const { title, dueDate } = req.body;
  if (!title) {
    res.status(400).json({ error: "title is required" });
    return;
  }
  res.status(201).json(addTodo(title, dueDate && new Date(dueDate)));
});

app.post("/api/todos/:id/toggle", (req, res) => {
  const todo = toggleTodo(req.params.id);
  if (!todo) {
    res.status(404).json({ error: "no such todo" });
    return;
  }
  res.json(todo);
});
