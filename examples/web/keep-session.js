/**
 * Keeps the VideoKit session of a signed-in user alive. It calls `startSession` with each new response of your token
 * endpoint: `{ sessionToken, expiresAt, identity, expiresIn }`. Call the function that it returns when the user signs out.
 *
 * `onFailure` receives each error, and the seconds until the next attempt: none after a 401 or 403, when it stops.
 */
export function keepSession(startSession, { url = '/token', onFailure = console.warn } = {}) {
  let timer
  let started
  let failures = 0
  let isStopped = false

  async function renew() {
    timer = undefined
    let retryAfter
    let isSignedOut = false
    try {
      const signal = AbortSignal.timeout(30_000)
      const response = await fetch(url, { method: 'POST', credentials: 'same-origin', signal })
      retryAfter = Number(response.headers.get('Retry-After'))
      isSignedOut = response.status === 401 || response.status === 403
      if (!response.ok) throw new Error(`The token endpoint responded with ${response.status}.`)
      const session = await response.json()
      if (isStopped) return
      // After half of the time left, so that the other half remains if the gateway is down.
      renewIn((session.expiresIn ?? 600) / 2)
      if (session.sessionToken !== started) await startSession(session)
      started = session.sessionToken
      failures = 0
    } catch (error) {
      if (isStopped) return
      if (isSignedOut) stop()
      const backoff = Math.min(2 ** failures++, 60)
      onFailure(error, isSignedOut ? undefined : renewIn(retryAfter || backoff))
    }
  }

  /** Renews after `seconds` or a little later, at random, so that not all browsers send their requests at once. */
  function renewIn(seconds) {
    clearTimeout(timer)
    // A timer does not depend on the clock of the device. One that is longer than 24 days would fire at once.
    const wait = Math.min(Math.max(seconds, 1), 86_400) * (1 + Math.random() / 4)
    timer = setTimeout(renew, wait * 1_000)
    return wait
  }

  /** A device that slept has stopped its timers, and in some browsers `performance.now()`: the time left is unknown. */
  function onVisible() {
    if (document.visibilityState !== 'visible' || timer === undefined || failures > 0) return
    clearTimeout(timer)
    renew()
  }

  function stop() {
    isStopped = true
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', onVisible)
  }

  document.addEventListener('visibilitychange', onVisible)
  renew()
  return stop
}
