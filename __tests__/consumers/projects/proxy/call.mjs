// Warms up, mints for two users, and prints what happened, once as a line of JSON.
import { inspect } from 'node:util'
import { VKitClient } from '@video-io/videokit-nodejs'

const { CALL_OPTIONS = '{}', LATE_HTTPS_PROXY: late } = process.env
if (late) process.env.HTTPS_PROXY = late
const vkit = new VKitClient({ maxRetries: 0, ...JSON.parse(CALL_OPTIONS) })
const results = []
for (const call of [() => vkit.warmUp(), () => vkit.getSessionToken('first'), () => vkit.getSessionToken('second')]) {
  results.push(await call().then(describeToken, describeError))
}
console.log(JSON.stringify(results))
if (process.env.IS_KEPT_ALIVE) setInterval(() => undefined, 1_000)

function describeToken(token) {
  return token?.identity ?? 'warm'
}

function describeError(error) {
  const { code, retryable, message, cause } = error
  return { code, retryable, message, cause: cause?.code, everything: inspect(error, { depth: 9, showHidden: true }) }
}
