/** Calls a listener of the user, and ignores its errors and rejections. */
export function callListener(call: () => unknown): void {
  try {
    const result = call()
    // The rejection of an async listener would end the process.
    if (typeof result === 'object') Promise.resolve(result).catch(() => undefined)
  } catch {
    // The call continues.
  }
}
