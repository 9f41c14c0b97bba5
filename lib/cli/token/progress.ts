import { Presets, SingleBar } from 'cli-progress'
import { environment } from '../../options/environment.js'
import { printInfo, wantsColour } from '../terminal.js'

/** The counts of a run. */
export interface Tally {
  /** Tokens that this run wrote. */
  minted: number
  failed: number
  /** Identities that the output or the list already contained. */
  skipped: number
}

/** The time over which the rate is measured. */
const WINDOW_MS = 10_000
const TICK_MS = 500

/** Shows a progress bar on a terminal, and nothing elsewhere. */
export class Progress {
  readonly #tally: Tally
  readonly #total: number | undefined
  readonly #bar: SingleBar | undefined
  readonly #samples: { readonly at: number; readonly minted: number }[] = []
  #timer: ReturnType<typeof setInterval> | undefined
  #status = ''

  /** `total` is the number of identities, if known. */
  constructor(tally: Tally, total: number | undefined) {
    this.#tally = tally
    this.#total = total
    if (process.stderr.isTTY && environment()['TERM'] !== 'dumb') this.#bar = createBar(total)
  }

  /** Whether standard error is a terminal. */
  static get isVisible(): boolean {
    return process.stderr.isTTY
  }

  start(): void {
    if (!this.#bar) return
    this.#sample()
    this.#bar.start(this.#total ?? 0, 0, this.#payload())
    this.#timer = setInterval(() => this.#update(), TICK_MS)
  }

  stop(): void {
    if (!this.#bar) return
    clearInterval(this.#timer)
    this.#update()
    this.#bar.stop()
  }

  /** A note at the end of the bar; empty for none. */
  set status(text: string) {
    this.#status = text
  }

  /** Writes a line above the bar. */
  log(line: string): void {
    if (this.#bar) process.stderr.write('\r\u001b[2K')
    printInfo(line)
  }

  #update(): void {
    this.#sample()
    const { minted, failed, skipped } = this.#tally
    this.#bar?.update(minted + failed + skipped, this.#payload())
  }

  #sample(): void {
    const at = performance.now()
    this.#samples.push({ at, minted: this.#tally.minted })
    while ((this.#samples[0]?.at ?? at) < at - WINDOW_MS) this.#samples.shift()
  }

  #payload(): object {
    const { minted, failed, skipped } = this.#tally
    const [first, last] = [this.#samples[0], this.#samples.at(-1)]
    const seconds = ((last?.at ?? 0) - (first?.at ?? 0)) / 1_000
    const rate = seconds > 0 ? ((last?.minted ?? 0) - (first?.minted ?? 0)) / seconds : 0
    const left = (this.#total ?? 0) - minted - failed - skipped
    return {
      done: (minted + failed + skipped).toLocaleString('en'),
      of: (this.#total ?? 0).toLocaleString('en'),
      rate: Math.round(rate).toLocaleString('en'),
      failed: failed.toLocaleString('en'),
      left: rate > 0 ? formatSeconds(left / rate) : '–',
      status: this.#status && ` | ${this.#status}`,
    }
  }
}

function createBar(total: number | undefined): SingleBar {
  const bar = total === undefined ? '' : '{bar} {percentage}% | '
  const of = total === undefined ? '' : '/{of}'
  const left = total === undefined ? '' : ' | {left} left'
  return new SingleBar(
    {
      format: `${bar}{done}${of} | {rate}/s | {failed} failed${left}{status}`,
      stream: process.stderr,
      fps: 4,
      barsize: 28,
      hideCursor: true,
      emptyOnZero: true,
      // `Interruption` handles Ctrl-C, so that tokens in flight are written first.
      gracefulExit: false,
    },
    wantsColour(process.stderr) ? Presets.shades_classic : Presets.legacy,
  )
}

export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  if (h > 0) return `${h} h ${m} min`
  return m > 0 ? `${m} min ${s} s` : `${s} s`
}
