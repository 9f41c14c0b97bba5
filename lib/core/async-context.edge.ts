/** Returns `task`: the edge has no async hooks of Node. */
export function bindContext<T>(task: () => T): () => T {
  return task
}
