import { setTimeout as sleep } from 'node:timers/promises'

/** How long a run waits for tokens in flight after a signal. */
export const GRACE_MS = 400

/** How long the process may then take to write its output. Both end within a second. */
export const LAST_WRITE_MS = 250

const POLL_MS = 20

/** The signals that end a run, and their exit codes. On Windows, SIGBREAK is Ctrl-Break, and SIGTERM never arrives. */
const SIGNALS = [
  ['SIGINT', 130],
  ['SIGBREAK', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const

/**
 * Ends a run within a second of a signal. The run starts no new work, and waits only shortly for tokens in flight.
 *
 * Further signals change nothing: at Ctrl-C, `npx` sends one more than the terminal.
 */
export class Interruption {
  readonly #stop = new AbortController()
  readonly #abort = new AbortController()
  /** Aborts when the run must start no new work. */
  readonly stopSignal = this.#stop.signal
  /** Aborts when the run must not wait any longer. */
  readonly abortSignal = this.#abort.signal
  /** The exit code of the process, if it was interrupted. */
  exitCode: number | undefined

  /** `exitCode` takes the place of the codes of the signals. */
  constructor(exitCode?: number) {
    for (const [signal, code] of SIGNALS) process.on(signal, () => this.#end(exitCode ?? code, GRACE_MS))
  }

  /** Ends the run without a signal, and does not wait for tokens in flight. */
  abort(exitCode: number): void {
    this.#end(exitCode, 0)
  }

  #end(exitCode: number, graceMs: number): void {
    if (this.exitCode !== undefined) return
    this.exitCode = exitCode
    this.#stop.abort()
    setTimeout(() => this.#abort.abort(), graceMs)
    // A reader that stops reading the output would keep the process alive forever.
    setTimeout(() => void endProcess(exitCode), graceMs + LAST_WRITE_MS)
  }
}

/**
 * Ends the process with `exitCode`. If a signal interrupted the process, it waits at most `waitMs` for busy threads.
 *
 * `process.exit` waits for threads, and a thread can wait long: for a terminal, a device, a network drive or DNS. Such an
 * interrupted process ends by its signal, which a shell reports as the same exit code.
 */
export async function endProcess(exitCode: number, waitMs = 0): Promise<never> {
  const [signal] = SIGNALS.find(([, code]) => code === exitCode) ?? []
  for (let leftMs = waitMs; signal && leftMs > 0 && isThreadBusy(); leftMs -= POLL_MS) await sleep(POLL_MS)
  // From here, a signal ends the process immediately.
  for (const [name] of SIGNALS) process.removeAllListeners(name)
  if (signal && isThreadBusy()) process.kill(process.pid, signal)
  return process.exit(exitCode)
}

function isThreadBusy(): boolean {
  return process.getActiveResourcesInfo().some(name => /^(?:FSReq|GetAddrInfoReq)/.test(name))
}
