import { tracingChannel, type TracingChannelSubscribers } from 'node:diagnostics_channel'
import type { VKitCallTrace, VKitMintTrace } from '../../lib/index.js'
import { afterThisTest } from './gateway.js'

/** The context of a mint or a call. Subscribers may add properties. */
export type Trace = VKitMintTrace | VKitCallTrace

/** Everything that was published since the subscription. */
export interface RecordedTraces {
  /** The names in the order of publication, such as `mint:asyncEnd`. */
  readonly names: string[]
  /** The context of each trace, in the order of their starts. */
  readonly calls: VKitCallTrace[]
  readonly mints: VKitMintTrace[]
  /** Each context as it was when it was published. */
  readonly copies: Trace[]
}

/** Subscribes to the five channels of both kinds of traces, until the end of the test. */
export function recordTraces(onPublish: (name: string, trace: Trace) => void = () => undefined): RecordedTraces {
  const recorded: RecordedTraces = { names: [], calls: [], mints: [], copies: [] }
  for (const [kind, list] of [
    ['call', recorded.calls],
    ['mint', recorded.mints],
  ] as const) {
    const channels = tracingChannel<unknown, Trace>(`videokit:${kind}`)
    const record = (name: string) => (trace: Trace) => {
      recorded.names.push(`${kind}:${name}`)
      if (name === 'start') (list as Trace[]).push(trace)
      recorded.copies.push({ ...trace })
      onPublish(`${kind}:${name}`, trace)
    }
    const subscribers: TracingChannelSubscribers<Trace> = {
      start: record('start'),
      end: record('end'),
      asyncStart: record('asyncStart'),
      asyncEnd: record('asyncEnd'),
      error: record('error'),
    }
    channels.subscribe(subscribers)
    afterThisTest(async () => channels.unsubscribe(subscribers))
  }
  return recorded
}
