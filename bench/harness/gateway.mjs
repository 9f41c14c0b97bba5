// A minimal gateway on node:http, in its own process: no checks, a constant token, and the identity of the request. It has
// a port for each delay of its response, by http and, with `tls`, https, and one for each rate limit.
import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export class Gateway {
  static start({ tls = true } = {}) {
    return this.#fork('gateway-process.mjs', tls ? ['--tls'] : [])
  }

  /** Starts the emulator of the package instead, whose `usage` returns the requests for each identity with a fault. */
  static startEmulator({ delayMs }) {
    return this.#fork('emulator-process.mjs', [String(delayMs)])
  }

  static async #fork(file, args) {
    const child = fork(fileURLToPath(new URL(file, import.meta.url)), args, { execArgv: [] })
    const gateway = new Gateway(child)
    Object.assign(gateway, await gateway.#request(undefined))
    return gateway
  }

  #child

  constructor(child) {
    this.#child = child
  }

  /** Returns `{ requests, refused, cpuUs }` since the previous call, and fills the buckets of the rate limits. */
  usage() {
    return this.#request('usage')
  }

  stop() {
    this.#child.disconnect()
  }

  #request(message) {
    return new Promise((resolve, reject) => {
      const onExit = code => reject(new Error(`The gateway exited with code ${code}`))
      this.#child.once('exit', onExit)
      this.#child.once('message', response => {
        this.#child.off('exit', onExit)
        resolve(response)
      })
      if (message) this.#child.send(message)
    })
  }
}
