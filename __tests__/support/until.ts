/** Jest does not end a test that is too slow, which would ask for ever and take a processor. */
const LIMIT_MS = 60_000

/** Resolves when a condition is true. It asks again in each turn of the event loop. */
export async function untilTrue(condition: () => boolean | Promise<boolean>): Promise<void> {
  const endsAt = performance.now() + LIMIT_MS
  while (!(await condition())) {
    if (performance.now() > endsAt) throw new Error(`It did not become true: ${String(condition)}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}
