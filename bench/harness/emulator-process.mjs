// The gateway emulator of the package, in its own process. The start of an identity says what goes wrong with it.
import { GatewayEmulator } from '@video-io/videokit-nodejs/testing'

const [delayMs] = process.argv.slice(2).map(Number)
const RETRY_AFTER_S = 30
/** What happens with each kind of identity, by the number of requests for it and the time of the first. */
const FAULTS = {
  error: () => ({ status: 500 }),
  limited: () => ({ status: 429, headers: { 'retry-after': String(RETRY_AFTER_S) } }),
  paused: ({ since }) => (Date.now() - since < RETRY_AFTER_S * 1e3 ? FAULTS.limited() : undefined),
  silent: () => ({ silence: true }),
}

const seen = new Map()

const emulator = await new GatewayEmulator({ maxRequests: 0, onRequest }).start()
process.on('message', () => {
  process.send(Object.fromEntries([...seen].map(([identity, { requests }]) => [identity, requests])))
  seen.clear()
})
process.once('disconnect', () => process.exit())
process.send({ url: emulator.url, appSecret: emulator.appSecret })

function onRequest({ body: { identity } }) {
  const fault = FAULTS[identity.split('-', 1)[0]]
  const own = fault?.(record(identity))
  return delayMs > 0 ? { delayMs, ...own } : own
}

function record(identity) {
  const entry = seen.get(identity) ?? { requests: 0, since: Date.now() }
  seen.set(identity, entry)
  entry.requests++
  return entry
}
