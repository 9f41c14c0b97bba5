import { setTimeout } from 'node:timers/promises'
import { SIGNALS } from './exit-codes.js'

const POLL_MS = 20

/**
 * Ends the process with `exitCode`. If a signal interrupted the process, it waits at most `waitMs` for busy threads.
 *
 * `process.exit` waits for threads, and a thread can wait long: for a terminal, a device, a network drive or DNS. Such an
 * interrupted process ends by its signal, which a shell reports as the same exit code.
 */
export async function endProcess(exitCode: number, waitMs = 0): Promise<never> {
  const signals = Object.entries(SIGNALS) as [NodeJS.Signals, number][]
  const [signal] = signals.find(([, code]) => code === exitCode) ?? []
  for (let leftMs = waitMs; signal && leftMs > 0 && isThreadBusy(); leftMs -= POLL_MS) await setTimeout(POLL_MS)
  if (signal && isThreadBusy()) {
    process.removeAllListeners(signal)
    process.kill(process.pid, signal)
  }
  return process.exit(exitCode)
}

function isThreadBusy(): boolean {
  return process.getActiveResourcesInfo().some(name => /^(?:FSReq|GetAddrInfoReq)/.test(name))
}
