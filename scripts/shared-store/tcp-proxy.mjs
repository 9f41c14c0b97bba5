// A proxy between workers and Redis that delays, holds back or cuts what passes.
import { once } from 'node:events'
import net from 'node:net'

export async function startProxy(targetPort) {
  const pairs = new Set()
  let port = targetPort
  let delayMs = 0
  let isHeld = false
  let isDown = false
  let refusesSubscribers = false
  const server = net.createServer(client => {
    if (isDown) return client.destroy()
    const upstream = net.connect(port, '127.0.0.1')
    const pair = { client, upstream, isSubscriber: false }
    pairs.add(pair)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ]) {
      from.setNoDelay(true)
      if (isHeld) from.pause()
      from.on('data', bytes => {
        if (from === client && /subscribe/i.test(bytes)) pair.isSubscriber = true
        if (pair.isSubscriber && refusesSubscribers) return client.destroy()
        const send = () => to.writable && to.write(bytes)
        if (delayMs > 0) setTimeout(send, delayMs)
        else send()
      })
      from.on('error', () => undefined)
      from.on('close', () => {
        to.destroy()
        pairs.delete(pair)
      })
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const cut = isCut => {
    for (const { client, upstream, ...pair } of [...pairs]) {
      if (!isCut(pair)) continue
      client.destroy()
      upstream.destroy()
    }
  }
  const hold = held => {
    isHeld = held
    for (const { client, upstream } of pairs)
      for (const socket of [client, upstream]) {
        if (held) socket.pause()
        else socket.resume()
      }
  }
  return {
    url: `redis://127.0.0.1:${server.address().port}`,
    /** Adds this to what passes in each direction. */
    delay: ms => (delayMs = ms),
    /** Connections stay open, and nothing passes. */
    hold: () => hold(true),
    release: () => hold(false),
    /** Closes all connections, and refuses new ones. */
    down: () => {
      isDown = true
      cut(() => true)
    },
    up: () => (isDown = false),
    /** The same, for connections that subscribe. */
    subscribersDown: () => {
      refusesSubscribers = true
      cut(({ isSubscriber }) => isSubscriber)
    },
    subscribersUp: () => (refusesSubscribers = false),
    /** New connections go to another server. */
    redirect: to => {
      port = to
      cut(() => true)
    },
    stop: () => {
      cut(() => true)
      server.close()
    },
  }
}
