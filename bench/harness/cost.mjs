// Measures the time and the CPU time of some work. CPU time includes the garbage collector and the I/O threads.

export async function costOf(work) {
  const cpu = process.cpuUsage()
  const started = performance.now()
  await work()
  const ms = performance.now() - started
  const { user, system } = process.cpuUsage(cpu)
  return { cpuUs: user + system, ms }
}

/** Runs `task(i)` for each i below `count`, `concurrency` at a time. */
export async function runConcurrently(count, concurrency, task) {
  let next = 0
  const runner = async () => {
    while (next < count) await task(next++)
  }
  await Promise.all(Array.from({ length: Math.min(count, concurrency) }, runner))
}
