/** What the package uses of Node's class. It has no subscribers at the edge, which lacks `diagnostics_channel`. */
export interface Channel {
  readonly hasSubscribers: boolean
  publish(message: unknown): void
  runStores<T>(context: unknown, run: () => T): T
}

export interface TracingChannel<_Stores, _Context> {
  readonly start: Channel
  readonly end: Channel
  readonly asyncStart: Channel
  readonly asyncEnd: Channel
  readonly error: Channel
}

const SILENT: Channel = { hasSubscribers: false, publish: () => undefined, runStores: (_, run) => run() }
const TRACING = { start: SILENT, end: SILENT, asyncStart: SILENT, asyncEnd: SILENT, error: SILENT }

export function channel(_name: string): Channel {
  return SILENT
}

export function tracingChannel<Stores, Context>(_name: string): TracingChannel<Stores, Context> {
  return TRACING
}
