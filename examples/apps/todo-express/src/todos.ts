export interface Todo {
  id: number;
  title: string;
  done: boolean;
  dueDate?: Date;
}

let nextId = 1;
const todos = new Map<number, Todo>();

export function addTodo(title: string, dueDate?: Date): Todo {
  const todo: Todo = { id: nextId++, title, done: false, dueDate };
  todos.set(todo.id, todo);
  return todo;
}

export function listTodos(): Todo[] {
  return [...todos.values()];
}

export function toggleTodo(id: number): Todo | undefined {
  const todo = todos.get(id);
  if (todo) todo.done = !todo.done;
  return todo;
}

/** Days until the todo is due; negative when it is overdue. */
export function daysLeft(todo: Todo, today: Date): number {
  return Math.ceil((todo.dueDate.getTime() - today.getTime()) / 86_400_000);
}
