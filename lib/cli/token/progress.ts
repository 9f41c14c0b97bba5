import { clearScreenDown, moveCursor } from 'node:readline'
import { Format, MultiBar, Presets, type Options, type Params } from 'cli-progress'
import { formatNumber, printable } from '../terminal.js'

/** The counts of a run. `in-output` and `duplicate` are identities that it skipped. */
export type Tally = Record<'minted' | 'failed' | 'in-output' | 'duplicate', number>

const BAR_SIZE = 28
const FRAMES_PER_SECOND = 4
const RATE_SECONDS = 5

/** A progress bar at the bottom of the terminal of standard error. */
export class Progress {
  /** A note in place of the rate; empty for none. */
  status = ''
  readonly #tally: Tally
  readonly #limit: () => number
  #length = 0
  readonly #samples: { readonly at: number; readonly minted: number }[] = []
  readonly #bars = new MultiBar({
    ...Presets.shades_classic,
    format: (options, params) => this.#format(options, params),
    fps: FRAMES_PER_SECOND,
    clearOnComplete: true,
    forceRedraw: true,
    // The lines above the bar must wrap. The bar is never longer than a line.
    linewrap: true,
  })

  /** Shows the bar. `total` is the number of identities, if known, and `limit` the limit of mints in flight. */
  constructor(tally: Tally, total: number | undefined, limit: () => number) {
    this.#tally = tally
    this.#limit = limit
    this.#bars.create(total ?? 0, 0)
    // A terminal that became narrower has wrapped the bar.
    this.#bars.on('update-pre', () => {
      const rows = Math.floor(this.#length / (process.stderr.columns || 80))
      if (rows > 0) moveCursor(process.stderr, -this.#length, -rows, () => clearScreenDown(process.stderr))
    })
  }

  /** Writes a line above the bar. */
  log(line: string): void {
    this.#bars.log(`${printable(line)}\n`)
  }

  /** Removes the bar. The lines above it stay. */
  stop(): void {
    this.#bars.update()
    this.#bars.stop()
  }

  /** The bar itself gets the room that the numbers leave, and is left out if that is too little. */
  #format(options: Options, { total, maxWidth }: Params): string {
    const done = Object.values(this.#tally).reduce((sum, n) => sum + n)
    const text = this.#numbers(done, total).join(' | ')
    const barsize = Math.min(BAR_SIZE, maxWidth - text.length - 4)
    const hasBar = total > 0 && barsize > 4
    const bar = hasBar ? `${Format.BarFormat(Math.min(1, done / total), { ...options, barsize })} ` : ''
    // With room for the `^C` that a terminal echoes.
    this.#length = Math.min(bar.length + text.length, maxWidth - 3)
    return `${bar}${text}`.slice(0, this.#length)
  }

  #numbers(done: number, total: number): string[] {
    const rate = this.#measureRate()
    const left = rate > 0 && total > 0 ? [`${formatSeconds((total - done) / rate)} left`] : []
    const share = [`${Math.floor((done / total) * 100)}%`, `${formatNumber(done)}/${formatNumber(total)}`]
    return [
      ...(total > 0 ? share : [formatNumber(done)]),
      ...(this.status ? [this.status] : [`${formatNumber(rate)}/s`, ...left]),
      `limit ${formatNumber(this.#limit())}`,
      `${formatNumber(this.#tally.failed)} failed`,
    ]
  }

  #measureRate(): number {
    const last = { at: performance.now(), minted: this.#tally.minted }
    const first = this.#samples[0] ?? last
    if (this.#samples.push(last) > RATE_SECONDS * FRAMES_PER_SECOND) this.#samples.shift()
    return last.at > first.at ? ((last.minted - first.minted) * 1_000) / (last.at - first.at) : 0
  }
}

export function formatSeconds(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds))
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60]
  if (h > 0) return `${h} h ${m} min`
  return m > 0 ? `${m} min ${s} s` : `${s} s`
}
