/** Calls a function of the caller's that only listens; ignores what it throws or rejects with. */
export function callListener(call: () => unknown): void {
  try {
    const result = call()
    // An async listener's rejection would end the process.
    if (typeof result === 'object') Promise.resolve(result).catch(() => undefined)
  } catch {
    // The call that it listens to goes on.
  }
}
